-- one row per mart: its rows and its distinct keys; they are equal, or the mart is broken
select 'transactions' as mart, count(*) as "rows", count(distinct concat(transaction_id, chr(31), cast(line_no as varchar))) as "keys"
from mart_transactions
union all select 'customers', count(*), count(distinct customer_id) from mart_customers
union all select 'customer_months', count(*), count(distinct concat(customer_id, chr(31), cast(month as varchar))) from mart_customer_months
union all select 'subscriptions', count(*), count(distinct concat(subscription_id, chr(31), cast(valid_from as varchar)))
from mart_subscriptions
union all select 'subscription_months', count(*), count(distinct concat(customer_id, chr(31), plan_id, chr(31), cast(month as varchar)))
from mart_subscription_months
union all select 'rfm_customers', count(*), count(distinct customer_id) from mart_rfm_customers
union all select 'rfm_months', count(*), count(distinct concat(customer_id, chr(31), cast(month as varchar))) from mart_rfm_months
union all select 'plans', count(*), count(distinct plan_id) from mart_plans
order by mart
