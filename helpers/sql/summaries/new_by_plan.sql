-- one row per plan at the start: new customers of the last six months
select first_plan_id as plan_id, count(*) as new_customers
from mart_customers cross join run
where is_new and first_plan_id is not null and started_month between run.report_month - 5 and run.report_month
group by first_plan_id
order by first_plan_id
