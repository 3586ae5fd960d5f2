-- one row per month: active customers at its end, and those with at least one add-on
with taken as (
    select distinct a.customer_id, c.month
    from mart_addons as a
    cross join run
    inner join calendar as c
        on c.month between run.report_month - 12 and run.report_month
        and coalesce(a.started_at < c.month_end, true) and coalesce(a.ended_at >= c.month_end, true)
),
active as (
    select m.customer_id, m.month
    from mart_customer_months as m cross join run
    where run.has_subscriptions and m.active_end and m.month between run.report_month - 12 and run.report_month
    union all
    select s.customer_id, c.month
    from mart_spells as s
    cross join run
    inner join calendar as c
        on c.month between run.report_month - 12 and run.report_month
        and c.month >= month_of(s.started_at) and c.month < month_of(s.ended_on)
    where not run.has_subscriptions
)
select m.month, count(*) as customers, count(t.customer_id) as with_addon
from active as m
left join taken as t on t.customer_id = m.customer_id and t.month = m.month
group by m.month
order by m.month
