-- one row per repeat days x and their total: customers with repeat purchases worth more than nothing, for Gamma-Gamma
with days as (
    select customer_id, day, sum(revenue) as amount
    from mart_transactions
    where sale and bought
    group by customer_id, day
),
repeats as (
    select d.customer_id, count(*) as x, sum(d.amount) as total
    from days as d
    inner join mart_customers as k on k.customer_id = d.customer_id
    where d.day > k.first_sale_day
    group by d.customer_id
)
select x, total, count(*) as customers
from repeats
where total > 0
group by x, total
order by x, total
