-- one row per customer and month with activity at its start or end, or with transactions: revenue, MRR and state
with bounds as (
    select
        customer_id, month,
        count(distinct case when sale then transaction_id end) as orders,
        count(distinct case when sale then day end) as sale_days,
        cast(sum(revenue) as decimal(24, 4)) as revenue
    from mart_transactions
    where customer_id is not null
    group by customer_id, month
),
paying as (
    select
        customer_id, month, cast(sum(mrr) as decimal(18, 4)) as mrr, cast(sum(mrr_fixed) as decimal(18, 4)) as mrr_fixed,
        cast(sum(paused_mrr) as decimal(18, 4)) as paused_mrr
    from mart_subscription_months
    group by customer_id, month
),
last_sales as (                                     -- the last of a month reaches furthest
    select customer_id, month, max(day) as day
    from mart_transactions
    where sale and customer_id is not null
    group by customer_id, month
),
buying as (                                         -- active by sales: the last one not longer ago than inactive_days
    select distinct t.customer_id, c.month
    from last_sales as t
    cross join run
    inner join calendar as c
        on c.month between month_of(t.day) and month_of(t.day + run.inactive_days)
        and t.day >= c.active_from and t.day < cast(c.month_end as date)
    where not run.has_subscriptions
),
ends as (
    select customer_id, month, mrr, mrr_fixed, paused_mrr, mrr > 0 as active from paying
    union all
    select customer_id, month, cast(0 as decimal(18, 4)), cast(0 as decimal(18, 4)), cast(0 as decimal(18, 4)), true from buying
),
touched as (
    select customer_id, month from ends
    union
    select ends.customer_id, ends.month + 1 from ends cross join run where ends.month < run.report_month
    union
    select customer_id, month from bounds
)
select
    t.customer_id, cast(t.month as integer) as month,
    coalesce(b.orders, 0) as orders, coalesce(b.sale_days, 0) as sale_days, coalesce(b.revenue, 0) as revenue,
    coalesce(s.active, false) as active_start, coalesce(e.active, false) as active_end,
    coalesce(s.mrr, 0) as mrr_start, coalesce(e.mrr, 0) as mrr_end,
    coalesce(e.mrr_fixed, 0) as mrr_end_fixed,         -- what it would be at the rates of the month's start
    coalesce(s.paused_mrr, 0) as paused_start, coalesce(e.paused_mrr, 0) as paused_end
from touched as t
left join bounds as b on b.customer_id = t.customer_id and b.month = t.month
left join ends as e on e.customer_id = t.customer_id and e.month = t.month
left join ends as s on s.customer_id = t.customer_id and s.month = t.month - 1
