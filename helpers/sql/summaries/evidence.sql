-- one row: what lifetimes rest on: whole months since the first customer, customers, and how many of them have left
select
    coalesce(max(run.report_month) - min(k.started_month) + 1, 0) as months, count(k.started_at) as customers,
    count(case when k.spell_ended then 1 end) as ends
from mart_customers as k
cross join run
