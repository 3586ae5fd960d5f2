-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line, raw.plan_id, coalesce(raw.plan_name, raw.plan_id) as plan_name, lower(raw.kind) as kind,
        try_cast(raw.tier_rank as integer) as tier_rank, raw.tier_rank as written_rank,
        try_cast(raw.list_price as decimal(18, 8)) as list_price, raw.list_price as written_price,
        try_cast(raw.ad_revenue_per_user as decimal(18, 8)) as ad_revenue_per_user,
        as_time(raw.valid_from, raw.zone, run.report_zone) as valid_from, raw.valid_from as written_from,
        lower(raw.interval) as billing, raw.features, run.as_of
    from raw_plans as raw cross join run
),
judged as (
    select
        *,
        case
            when plan_id is null then 'plan_id'
            when unread(written_rank, tier_rank) then 'tier_rank'
            when unread(written_price, list_price) then 'list_price'
            when unread(written_from, valid_from) then 'valid_from'
            when misfit(kind, 'tier addon service') then 'kind'
        end as bad_column
    from typed
),
keyed as (
    select
        *,
        case bad_column
            when 'tier_rank' then written_rank when 'list_price' then written_price
            when 'valid_from' then written_from when 'kind' then kind
        end as bad_value,
        row_number() over (
            partition by plan_id, valid_from, bad_column is null order by tier_rank, list_price, plan_name, file, line
        ) as copy
    from judged
)
select
    file, line, plan_id, valid_from, plan_name, tier_rank, list_price, billing, coalesce(kind, 'tier') as kind, features,
    ad_revenue_per_user, coalesce(list_price, 0) as amount,
    case
        when valid_from >= as_of then 'after_as_of' when bad_column is not null or copy > 1 then 'rejected' else 'kept'
    end as stage,
    case
        when valid_from >= as_of then null
        when bad_column = 'kind' then 'not an accepted value'
        when bad_column is not null and bad_value is null then 'empty'
        when bad_column is not null then 'cannot be read'
        when copy > 1 then 'key stands twice'
    end as rule,
    case when bad_column is null and copy > 1 then 'plan_id, valid_from' else bad_column end as rule_column,
    case when bad_column is not null then bad_value when copy > 1 then plan_id end as rule_value
from keyed
