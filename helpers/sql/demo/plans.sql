-- one row per tier, addon or service on sale; a tier billed by the year costs ten months
select
    plan_id,
    plan_name,
    tier as tier_rank,
    cast(price as decimal(18, 2)) as list_price,
    'month' as "interval",
    'tier' as kind,
    features,
    cast(ad_revenue as decimal(18, 2)) as ad_revenue_per_user
from tiers
union all
select plan_id, plan_name, null, list_price, "interval", kind, null, null
from (values
    ('addon-export', 'Data export', 9.00, 'month', 'addon'),
    ('addon-api', 'API access', 15.00, 'month', 'addon'),
    ('addon-support', 'Priority support', 29.00, 'month', 'addon'),
    ('training', 'Training', 90.00, null, 'service'),
    ('setup', 'Guided setup', 120.00, null, 'service'),
    ('review', 'Account review', 150.00, null, 'service')
) as extras (plan_id, plan_name, list_price, "interval", kind)
order by plan_id
