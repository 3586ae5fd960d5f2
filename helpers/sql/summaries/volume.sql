-- one row per month: kept transaction rows and their money, customers seen, revenue, and revenue of rows without customer
with lines as (
    select
        month, count(*) as "rows", sum(amount) as amount, sum(revenue) as revenue,
        sum(case when customer_id is null then revenue else 0 end) as revenue_unattributed
    from mart_transactions
    group by month
),
seen as (
    select month, count(*) as customers from mart_customer_months where days > 0 group by month
)
select
    c.label as period, c.month, coalesce(t."rows", 0) as "rows", coalesce(t.amount, 0) as amount, coalesce(s.customers, 0) as customers,
    coalesce(t.revenue, 0) as revenue, coalesce(t.revenue_unattributed, 0) as revenue_unattributed
from calendar as c
left join lines as t on t.month = c.month
left join seen as s on s.month = c.month
where c.month between (select min(month) from lines) and (select report_month from run)
order by c.month
