-- one row per customer
select customer_id, created_at, display_name, segment, country, channel, campaign
from people
order by customer_id
