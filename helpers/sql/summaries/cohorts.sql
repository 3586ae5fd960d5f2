-- one row per cohort and age: its customers, those active (paying, or buying in that month where only sales are known), revenue
with sizes as (
    select started_month as cohort, count(*) as customers
    from mart_customers
    where is_new
    group by started_month
),
seen as (
    select
        k.started_month as cohort, m.month,
        count(case when (run.has_subscriptions and m.active_end) or (not run.has_subscriptions and m.sale_days > 0) then 1 end) as active,
        sum(m.revenue) as revenue, sum(m.mrr_end) as mrr
    from mart_customer_months as m
    inner join mart_customers as k on k.customer_id = m.customer_id
    cross join run
    where k.is_new
    group by k.started_month, m.month
)
select
    z.cohort, c.month - z.cohort as age, z.customers, coalesce(s.active, 0) as active,
    coalesce(s.revenue, 0) as revenue, coalesce(s.mrr, 0) as mrr
from sizes as z
cross join run
inner join calendar as c on c.month between z.cohort and run.report_month
left join seen as s on s.cohort = z.cohort and s.month = c.month
order by z.cohort, age
