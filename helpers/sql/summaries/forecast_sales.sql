-- one row per month end and x, days to the last purchase, days observed and repeat spend as of it: customers and revenue so far
with origins as (                                    -- the report month, and six month ends of the year before it
    select c.month as made_at, cast(c.month_end as date) as next_day
    from calendar as c cross join run
    where not run.has_subscriptions and c.month between run.report_month - 12 and run.report_month
        and (run.report_month - c.month) % 2 = 0
),
steps as (                                           -- what came between two of them, by the first that saw it
    select
        t.customer_id, greatest(run.report_month - 12, month_of(t.day) + (run.report_month - month_of(t.day)) % 2) as seen_at,
        0 as days, cast(null as date) as last_day,
        sum(case when t.sale and t.bought then t.revenue else 0 end) as bought,
        sum(case when t.sale and t.bought and t.day = k.first_sale_day then t.revenue else 0 end) as bought_first,
        sum(t.revenue) as revenue
    from mart_transactions as t
    cross join run
    inner join mart_customers as k on k.customer_id = t.customer_id
    where not run.has_subscriptions and k.purchase_days > 0
    group by 1, 2
    union all
    select
        d.customer_id, greatest(run.report_month - 12, d.month + (run.report_month - d.month) % 2), count(*), max(d.day), 0, 0, 0
    from mart_customer_days as d cross join run
    where not run.has_subscriptions and d.purchased
    group by 1, 2
),
seen as (
    select
        o.made_at, s.customer_id, max(o.next_day) as next_day, sum(s.days) - 1 as x, max(s.last_day) as last_day,
        sum(s.bought - s.bought_first) as total, sum(s.bought) as bought, sum(s.revenue) as revenue
    from steps as s
    inner join origins as o on o.made_at >= s.seen_at
    group by o.made_at, s.customer_id
)
select
    cast(s.made_at as integer) as made_at, cast(s.x as bigint) as x, date_diff('day', k.first_sale_day, s.last_day) as last_days,
    date_diff('day', k.first_sale_day, s.next_day) - 1 as observed_days, s.total, count(*) as customers,
    sum(s.bought) as bought, sum(s.revenue) as revenue
from seen as s
inner join mart_customers as k on k.customer_id = s.customer_id
where s.x >= 0
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
