-- one row per tier, addon or service on sale and version of its price; a tier billed by the year costs ten months
with versions as (
    select
        tier, cast(price as decimal(18, 2)) as list_price,
        if(tier in (select tier from rises), greatest(rise_at, book_at), book_at) as valid_from
    from tiers cross join settings
    union all
    select tier, cast(old_price as decimal(18, 2)), book_at from rises cross join settings where rise_at > book_at
)
select
    plan_id,
    cast(valid_from as date) as valid_from,
    plan_name,
    tier as tier_rank,
    list_price,
    'month' as "interval",
    'USD' as currency,
    'tier' as kind,
    features,
    limits,
    cast(ad_cents * 0.01 as decimal(18, 2)) as ad_revenue_per_user,
    cast(cost_cents * 0.01 as decimal(18, 2)) as unit_cost
from tiers join versions using (tier)
union all
select
    product_id, cast(book_at as date), product_name, null, cast(price as decimal(18, 2)),
    if(kind = 'addon', 'month', null), 'USD', kind, null, null, null, cast(cost_cents * 0.01 as decimal(18, 2))
from products cross join settings
where kind in ('addon', 'service')
order by plan_id, valid_from
