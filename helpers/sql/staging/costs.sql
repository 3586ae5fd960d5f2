-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line, lower(raw.category) as category, upper(raw.currency) as currency,
        lower(coalesce(raw.scope, 'all')) as scope, raw.scope_id,
        as_time(raw.month, raw.zone, run.report_zone) as month_at, raw.month as written_month,
        try_cast(raw.amount as decimal(18, 4)) as amount, raw.amount as written_amount,
        run.as_of, run.currency as report_currency
    from raw_costs as raw cross join run
),
judged as (
    select
        *,
        case
            when month_at is null or month_at < timestamp '1970-01-01 00:00:00' then 'month'
            when amount is null then 'amount'
            when category is null
                or misfit(category, 'cogs support hosting payment_fees retention loyalty content overhead') then 'category'
            when misfit(scope, 'all tier product channel customer') then 'scope'
            when currency <> report_currency then 'currency'
        end as bad_column
    from typed
),
named as (
    select
        *,
        case bad_column
            when 'month' then written_month when 'amount' then written_amount
            when 'category' then category when 'scope' then scope when 'currency' then currency
        end as bad_value
    from judged
)
select
    file, line, cast(month_of(month_at) as integer) as month, category, scope, scope_id, amount,
    case when month_at >= as_of then 'after_as_of' when bad_column is not null then 'rejected' else 'kept' end as stage,
    case
        when month_at >= as_of then null
        when bad_column in ('category', 'scope') and bad_value is not null then 'not an accepted value'
        when bad_column = 'currency' then 'other currency than the report'
        when bad_column is not null and bad_value is null then 'empty'
        when bad_column is not null then 'cannot be read'
    end as rule,
    bad_column as rule_column, bad_value as rule_value
from named
