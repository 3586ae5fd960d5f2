-- one row: customers paying at both ends of the report month who had left in between
select count(distinct s.customer_id) as customers
from mart_spells as s
cross join run
inner join mart_customer_months as m on m.customer_id = s.customer_id and m.month = run.report_month
where month_of(s.ended_on) = run.report_month and m.active_start and m.active_end
