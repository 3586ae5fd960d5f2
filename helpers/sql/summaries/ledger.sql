-- one row per month and measure of the ledger: its amount and ours; empty where we count it elsewhere, or have no such table
with ours as (
    select month, 'net_revenue' as measure, sum(revenue) as amount from mart_transactions group by month
    union all
    select month, 'refunds', sum(case when type = 'refund' then -revenue else 0 end) from mart_transactions group by month
    union all
    select month, 'mrr', sum(mrr) from mart_subscription_months group by month
    union all
    select month, 'marketing_spend', sum(amount) from mart_marketing_spend group by month
),
known as (
    select distinct measure from ours
)
select
    c.label as month, l.measure, l.amount as ledger,
    case when l.measure in (select measure from known) then coalesce(o.amount, 0) end as ours
from mart_ledger_control as l
cross join run
inner join calendar as c on c.month = month_of(l.month)
left join ours as o on o.month = c.month and o.measure = l.measure
order by 1, 2
