-- one row per cohort and age: its customers, those active (paying, or buying in that month where only sales are known), revenue
with sizes as (
    select started_month as cohort, count(*) as customers
    from mart_customers
    where is_new
    group by started_month
)
select
    z.cohort, c.month - z.cohort as age, max(z.customers) as customers,
    count(case when (run.has_subscriptions and m.active_end) or (not run.has_subscriptions and m.orders > 0) then 1 end) as active,
    coalesce(sum(m.revenue), 0) as revenue, coalesce(sum(m.mrr_end), 0) as mrr
from sizes as z
cross join run
inner join calendar as c on c.month between z.cohort and run.report_month
left join mart_customers as k on k.is_new and k.started_month = z.cohort
left join mart_customer_months as m on m.customer_id = k.customer_id and m.month = c.month
group by z.cohort, c.month - z.cohort
order by z.cohort, age
