-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line, raw.label, lower(raw.kind) as kind, raw.plan_id,
        as_time(raw.date, raw.zone, run.report_zone) as happened_at, raw.date as written_date,
        run.as_of
    from raw_business_events as raw cross join run
),
judged as (
    select
        *,
        case
            when happened_at is null then 'date'
            when label is null then 'label'
            when misfit(kind, 'price_change release promo outage market') then 'kind'
        end as bad_column
    from typed
),
named as (
    select *, case bad_column when 'date' then written_date when 'kind' then kind end as bad_value from judged
)
select
    file, line, happened_at, label, kind, plan_id, cast(0 as decimal(18, 4)) as amount,
    case when happened_at >= as_of then 'after_as_of' when bad_column is not null then 'rejected' else 'kept' end as stage,
    case
        when happened_at >= as_of then null
        when bad_column = 'kind' then 'not an accepted value'
        when bad_column is not null and bad_value is null then 'empty'
        when bad_column is not null then 'cannot be read'
    end as rule,
    bad_column as rule_column, bad_value as rule_value
from named
