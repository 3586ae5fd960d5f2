-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line, as_id(raw.customer_id) as customer_id,
        as_time(raw.created_at, raw.zone, run.report_zone) as created_at, raw.created_at as written_created,
        raw.display_name, raw.email_hash, raw.segment, raw.country, raw.channel, raw.campaign, raw.owner,
        run.as_of
    from raw_customers as raw cross join run
),
judged as (
    select
        *,
        case
            when customer_id is null then 'customer_id'
            when unread(written_created, created_at) then 'created_at'
        end as bad_column
    from typed
),
keyed as (
    select
        *,
        row_number() over (
            partition by customer_id, bad_column is null, coalesce(created_at < as_of, true)  -- what comes later hides nothing
            order by created_at, segment, country, channel, campaign, display_name, file, line
        ) as copy
    from judged
)
select
    file, line, customer_id, created_at, display_name, email_hash, segment, country, channel, campaign, owner,
    cast(0 as decimal(18, 4)) as amount,
    case
        when created_at >= as_of then 'after_as_of' when bad_column is not null or copy > 1 then 'rejected' else 'kept'
    end as stage,
    case
        when created_at >= as_of then null
        when bad_column = 'customer_id' then 'empty' when bad_column is not null then 'cannot be read'
        when copy > 1 then 'key stands twice'
    end as rule,
    case when bad_column is null and copy > 1 then 'customer_id' else bad_column end as rule_column,
    case when bad_column = 'created_at' then written_created when copy > 1 then customer_id end as rule_value
from keyed
