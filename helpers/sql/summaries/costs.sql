-- one row per month with costs: direct costs by category, retention costs, and the revenue (or MRR) they belong to
with revenue as (
    select month, sum(revenue) as amount from mart_transactions group by month
),
recurring as (
    select month, sum(mrr) as amount from mart_subscription_months group by month
)
select
    c.month,
    sum(case when c.category = 'cogs' then c.amount else 0 end) as cogs,
    sum(case when c.category = 'support' then c.amount else 0 end) as support,
    sum(case when c.category = 'hosting' then c.amount else 0 end) as hosting,
    sum(case when c.category = 'payment_fees' then c.amount else 0 end) as payment_fees,
    sum(case when c.category in ('retention', 'loyalty') then c.amount else 0 end) as retention,
    max(case when run.has_transactions then coalesce(r.amount, 0) else coalesce(m.amount, 0) end) as revenue
from mart_costs as c
cross join run
left join revenue as r on r.month = c.month
left join recurring as m on m.month = c.month
where c.month <= run.report_month
group by c.month
order by c.month
