-- one row per month with costs: direct costs, retention costs, and the revenue (MRR where no sales are given) they belong to
with revenue as (
    select month, sum(revenue) as amount from mart_transactions group by month
),
recurring as (
    select month, sum(mrr) as amount from mart_subscription_months group by month
)
select
    c.month,
    sum(case when c.category in ('cogs', 'support', 'hosting', 'payment_fees') then c.amount else 0 end) as direct,
    sum(case when c.category in ('retention', 'loyalty') then c.amount else 0 end) as retention,
    count(distinct case when c.category in ('cogs', 'support', 'hosting', 'payment_fees') then c.category end) as categories,
    max(case when run.has_transactions then coalesce(r.amount, 0) else coalesce(m.amount, 0) end) as revenue
from mart_costs as c
cross join run
left join revenue as r on r.month = c.month
left join recurring as m on m.month = c.month
where c.month <= run.report_month
group by c.month
order by c.month
