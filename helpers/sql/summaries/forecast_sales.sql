-- one row per month end and x, days to the last purchase, days observed and repeat spend as of it: customers and revenue so far
with origins as (                                    -- the report month, and six month ends of the year before it
    select c.month as made_at, cast(c.month_end as date) as next_day
    from calendar as c cross join run
    where not run.has_subscriptions and c.month between run.report_month - 12 and run.report_month
        and (run.report_month - c.month) % 2 = 0
),
paid as (
    select customer_id, day, sum(case when sale and bought then revenue else 0 end) as bought, sum(revenue) as revenue
    from mart_transactions
    where customer_id is not null
    group by customer_id, day
),
seen as (
    select
        o.made_at, d.customer_id, max(k.first_sale_day) as first_day, max(o.next_day) as next_day,
        count(case when d.purchased then 1 end) - 1 as x, max(case when d.purchased then d.day end) as last_day,
        sum(case when d.day > k.first_sale_day then p.bought else 0 end) as total,
        sum(p.bought) as bought, sum(p.revenue) as revenue
    from origins as o
    inner join mart_customer_days as d on d.day < o.next_day
    inner join mart_customers as k on k.customer_id = d.customer_id and k.first_sale_day < o.next_day
    inner join paid as p on p.customer_id = d.customer_id and p.day = d.day
    group by o.made_at, d.customer_id
)
select
    cast(made_at as integer) as made_at, x, date_diff('day', first_day, last_day) as last_days,
    date_diff('day', first_day, next_day) - 1 as observed_days, total, count(*) as customers,
    sum(bought) as bought, sum(revenue) as revenue
from seen
where x >= 0
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
