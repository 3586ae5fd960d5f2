-- one row per customer with a sale: recency, frequency, monetary at as_of, their scores and the segment of the code
select customer_id, recency_days, frequency, monetary, r, f, m, segment
from mart_rfm_months cross join run
where mart_rfm_months.month = run.report_month
