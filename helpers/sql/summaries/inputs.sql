-- one row per source file: its rows, and the first and last moment in it
with moments as (
    select 'transactions' as "table", file, transacted_at as moment from staged_transactions
    union all select 'subscriptions', file, started_at from staged_subscriptions
    union all select 'addons', file, started_at from staged_addons
    union all select 'customers', file, created_at from staged_customers
    union all select 'plans', file, valid_from from staged_plans
    union all select 'marketing_spend', file, cast(period_start as timestamp) from staged_marketing_spend
    union all select 'costs', s.file, c.month_start from staged_costs as s left join calendar as c on c.month = s.month
),
counted as (
    select "table", file, count(*) as "rows", min(moment) as first, max(moment) as last
    from moments
    group by "table", file
)
select
    f."table", f.file, f.sha256, f.encoding, f.ignored_columns, coalesce(c."rows", 0) as "rows",
    cast(c.first as varchar) as first, cast(c.last as varchar) as last
from source_files as f
left join counted as c on c."table" = f."table" and c.file = f.file
order by f."table", f.file
