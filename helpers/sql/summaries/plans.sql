-- one row per plan: its name, rank and list price
select plan_id, plan_name, tier_rank, list_price, kind
from mart_plans
order by plan_id
