-- one row per tier: its price and the true chances per 10,000: billed by the year, moves at a period's end, addons
select *
from (values
    (1, 'starter', 'Starter', 5, 3.00, 'dashboards;ads', 1000, 320, 0, 1500, 0, 800),
    (2, 'plus', 'Plus', 20, null, 'dashboards;alerts', 2000, 210, 50, 1500, 400, 1300),
    (3, 'team', 'Team', 60, null, 'dashboards;alerts;sharing', 3000, 130, 40, 1000, 400, 2400),
    (4, 'business', 'Business', 240, null, 'dashboards;alerts;sharing;audit;sso', 4000, 0, 50, 0, 400, 3600)
) as tiers (
    tier, plan_id, plan_name, price, ad_revenue, features, yearly_share, up_monthly, down_monthly, up_yearly,
    down_yearly, attach
)
order by tier
