-- one row: customers acquired 12 to 17 months ago and the revenue (or MRR) of their first 12 months
select
    count(distinct k.customer_id) as customers,
    coalesce(sum(case when run.has_transactions then m.revenue else m.mrr_end end), 0) as revenue
from mart_customers as k
cross join run
left join mart_customer_months as m
    on m.customer_id = k.customer_id and m.month between k.started_month and k.started_month + 11
where k.is_new and k.started_month between run.report_month - 17 and run.report_month - 12
