-- one row per plan as of the report month: the last version before as_of
with ranked as (
    select
        *,
        row_number() over (partition by plan_id order by coalesce(valid_from, timestamp '1970-01-01 00:00:00') desc, line) as newest
    from staged_plans
    where stage = 'kept'
)
select plan_id, plan_name, tier_rank, list_price, "interval" as billing, kind, features, ad_revenue_per_user
from ranked
where newest = 1
