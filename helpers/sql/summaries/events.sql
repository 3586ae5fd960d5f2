-- one row per business event of the 25 months to the report month; one that is listed once a plan is one event
select distinct cast(e.date as date) as date, e.label, e.kind
from mart_business_events as e
cross join run
where month_of(e.date) between run.report_month - 24 and run.report_month
order by 1, 2, 3
