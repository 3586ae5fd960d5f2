-- one row per month and tier: paying customers at its end, and those with at least one add-on
with taken as (
    select distinct a.customer_id, c.month
    from mart_addons as a
    cross join run
    inner join calendar as c
        on c.month between run.report_month - 12 and run.report_month
        and coalesce(a.started_at < c.month_end, true) and coalesce(a.ended_at >= c.month_end, true)
)
select
    s.month, s.plan_id, count(distinct s.customer_id) as customers, count(distinct t.customer_id) as with_addon
from mart_subscription_months as s
cross join run
left join taken as t on t.customer_id = s.customer_id and t.month = s.month
where s.mrr > 0 and s.month between run.report_month - 12 and run.report_month
group by s.month, s.plan_id
order by s.month, s.plan_id
