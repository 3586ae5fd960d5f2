-- one row per repeat days x and their total: customers with repeat purchases worth more than nothing, for Gamma-Gamma
with repeats as (
    select k.customer_id, max(k.purchase_days) - 1 as x, sum(t.revenue) as total
    from mart_transactions as t
    inner join mart_customers as k on k.customer_id = t.customer_id
    where t.sale and t.bought and t.day > k.first_sale_day
    group by k.customer_id
)
select x, total, count(*) as customers
from repeats
where total > 0
group by x, total
order by x, total
