-- one row: customers who were active twelve months before the month's end, and those of them who no longer are
with states as (
    select
        m.customer_id, max(case when m.month = run.report_month - 12 then 1 else 0 end) as active_then,
        max(case when m.month = run.report_month then 1 else 0 end) as active_now
    from mart_customer_months as m
    cross join run
    where run.has_subscriptions and m.active_end and (m.month = run.report_month or m.month = run.report_month - 12)
    group by m.customer_id
    union all
    select
        s.customer_id,
        max(case when run.report_month - 12 >= month_of(s.started_at) and run.report_month - 12 < month_of(s.ended_on) then 1 else 0 end),
        max(case when run.report_month < month_of(s.ended_on) then 1 else 0 end)
    from mart_spells as s
    cross join run
    where not run.has_subscriptions
    group by s.customer_id
)
select count(*) as customers, count(case when active_now = 0 then 1 end) as lost
from states
cross join run
inner join calendar as c on c.month = run.report_month - 12
where active_then = 1 and coalesce(c.month_end >= run.observed_from, true)
