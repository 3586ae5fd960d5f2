-- one row per month: kept transaction rows, customers seen, revenue, and revenue of rows without customer
select
    c.label as period, c.month, count(t.transaction_id) as "rows", count(distinct t.customer_id) as customers,
    coalesce(sum(t.revenue), 0) as revenue,
    coalesce(sum(case when t.customer_id is null then t.revenue end), 0) as revenue_unattributed
from calendar as c
left join mart_transactions as t on t.month = c.month
where c.month between (select min(month) from mart_transactions) and (select report_month from run)
group by c.label, c.month
order by c.month
