-- one row per rejected row, and one per table, file and stage of all others: rows, money, and the span of their moments
with staged as (
    select
        'transactions' as "table", file, line, stage, rule, rule_column, rule_value, amount,
        transacted_at as moment, transacted_at as until
    from staged_transactions
    union all
    select
        'subscriptions', file, line, stage, rule, rule_column, rule_value, cast(amount as decimal(18, 4)), started_at,
        greatest(started_at, valid_from, case when ended_at < run.as_of then ended_at end)   -- an end may be announced
    from staged_subscriptions cross join run
    union all
    select 'addons', file, line, stage, rule, rule_column, rule_value, amount, started_at, started_at from staged_addons
    union all
    select 'customers', file, line, stage, rule, rule_column, rule_value, amount, created_at, created_at
    from staged_customers
    union all
    select
        'plans', file, line, stage, rule, rule_column, rule_value, cast(amount as decimal(18, 4)), valid_from, valid_from
    from staged_plans
    union all
    select
        'marketing_spend', file, line, stage, rule, rule_column, rule_value, amount, cast(period_start as timestamp),
        cast(least(period_end, cast(run.as_of as date) - 1) as timestamp)
    from staged_marketing_spend cross join run
    union all
    select
        'costs', s.file, s.line, s.stage, s.rule, s.rule_column, s.rule_value, s.amount, c.month_start,
        cast(cast(c.month_end as date) - 1 as timestamp)
    from staged_costs as s left join calendar as c on c.month = s.month
    union all
    select
        'business_events', file, line, stage, rule, rule_column, rule_value, amount, happened_at, happened_at
    from staged_business_events
)
select
    "table", file, stage,
    case when stage = 'rejected' then line end as line,
    case when stage = 'rejected' then rule end as rule,
    case when stage = 'rejected' then rule_column end as rule_column,
    case when stage = 'rejected' then rule_value end as rule_value,
    count(*) as "rows", coalesce(sum(amount), 0) as amount, min(moment) as first, max(moment) as last,
    max(case when stage = 'kept' then until end) as newest
from staged
group by 1, 2, 3, 4, 5, 6, 7
