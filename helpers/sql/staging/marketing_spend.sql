-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line, raw.channel, raw.campaign, lower(raw.kind) as kind, upper(raw.currency) as currency,
        cast(as_time(raw.period_start, raw.zone, run.report_zone) as date) as period_start, raw.period_start as written_start,
        cast(as_time(raw.period_end, raw.zone, run.report_zone) as date) as period_end, raw.period_end as written_end,
        try_cast(raw.amount as decimal(18, 4)) as amount, raw.amount as written_amount,
        run.as_of, run.currency as report_currency
    from raw_marketing_spend as raw cross join run
),
judged as (
    select
        *,
        case
            when period_start is null or period_start < date '1970-01-01' then 'period_start'
            when period_end is null or period_end < period_start then 'period_end'
            when amount is null then 'amount'
            when channel is null then 'channel'
            when misfit(kind, 'media people tools agency promo') then 'kind'
            when currency <> report_currency then 'currency'
        end as bad_column
    from typed
),
named as (
    select
        *,
        case bad_column
            when 'period_start' then written_start when 'period_end' then written_end
            when 'amount' then written_amount when 'kind' then kind when 'currency' then currency
        end as bad_value
    from judged
)
select
    file, line, period_start, period_end, channel, campaign, coalesce(kind, 'media') as kind, amount,
    case when period_start >= as_of then 'after_as_of' when bad_column is not null then 'rejected' else 'kept' end as stage,
    case
        when period_start >= as_of then null
        when bad_column = 'kind' then 'not an accepted value'
        when bad_column = 'currency' then 'other currency than the report'
        when bad_column = 'period_end' and period_end < period_start then 'ends before it starts'
        when bad_column is not null and bad_value is null then 'empty'
        when bad_column is not null then 'cannot be read'
    end as rule,
    bad_column as rule_column, bad_value as rule_value
from named
