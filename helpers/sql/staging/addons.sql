-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line, as_id(raw.customer_id) as customer_id, raw.addon_id,
        as_time(raw.started_at, raw.zone, run.report_zone) as started_at, raw.started_at as written_started,
        as_time(raw.ended_at, raw.zone, run.report_zone) as ended_at, raw.ended_at as written_ended,
        try_cast(raw.amount as decimal(18, 4)) as amount, raw.amount as written_amount, lower(raw.interval) as billing,
        run.as_of
    from raw_addons as raw cross join run
),
judged as (
    select
        *,
        case
            when customer_id is null then 'customer_id'
            when addon_id is null then 'addon_id'
            when unread(written_started, started_at) then 'started_at'
            when unread(written_ended, ended_at) then 'ended_at'
            when unread(written_amount, amount) then 'amount'
            when misfit(billing, 'day week month year') then 'interval'
        end as bad_column
    from typed
),
named as (
    select
        *,
        case bad_column
            when 'started_at' then written_started when 'ended_at' then written_ended
            when 'amount' then written_amount when 'interval' then billing
        end as bad_value
    from judged
)
select
    file, line, customer_id, addon_id, started_at, case when ended_at < as_of then ended_at end as ended_at, amount, billing,
    case when started_at >= as_of then 'after_as_of' when bad_column is not null then 'rejected' else 'kept' end as stage,
    case
        when started_at >= as_of then null
        when bad_column = 'interval' then 'not an accepted value'
        when bad_column is not null and bad_value is null then 'empty'
        when bad_column is not null then 'cannot be read'
    end as rule,
    bad_column as rule_column, bad_value as rule_value
from named
