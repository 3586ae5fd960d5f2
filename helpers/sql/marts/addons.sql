-- one row per add-on of a customer and the span over which it is taken
select customer_id, addon_id, started_at, ended_at, amount, billing, file, line
from staged_addons
where stage = 'kept'
