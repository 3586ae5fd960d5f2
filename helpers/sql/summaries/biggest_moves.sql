-- one row per customer among the ten largest rises and falls of the report month: MRR at the month's first rates, else revenue
with sides as (
    select
        m.customer_id, m.mrr_start as before, m.mrr_end_fixed as now,
        movement(m.active_start, m.active_end, m.paused_start, m.paused_end, k.started_month = m.month or m.new_again) as what
    from mart_customer_months as m
    inner join mart_customers as k on k.customer_id = m.customer_id
    cross join run
    where run.has_subscriptions and m.month = run.report_month
    union all
    select                                           -- who bought last month alone may have no row in this one
        m.customer_id, sum(case when m.month < run.report_month then m.revenue else 0 end),
        sum(case when m.month = run.report_month then m.revenue else 0 end),
        case when max(k.started_month) = max(run.report_month) then 'first purchase' else 'stayed' end
    from mart_customer_months as m
    inner join mart_customers as k on k.customer_id = m.customer_id
    cross join run
    where not run.has_subscriptions and m.month between run.report_month - 1 and run.report_month
    group by m.customer_id
),
moves as (
    select sides.*, now - before as change, case when now > before then 'win' else 'loss' end as direction from sides
    where now <> before
),
ranked as (
    select *, row_number() over (partition by direction order by abs(change) desc, customer_id) as nth from moves
)
select
    r.customer_id, r.direction,
    case
        when run.has_subscriptions and r.what = 'stayed' and r.direction = 'win' then 'expansion'
        when run.has_subscriptions and r.what = 'stayed' then 'contraction'
        when run.has_subscriptions then r.what
        when r.direction = 'loss' then 'less than last month'
        when r.what = 'first purchase' then 'first purchase'
        else 'more than last month'
    end as what,
    r.before, r.now, r.change
from ranked as r
cross join run
where r.nth <= 10
order by r.direction, r.nth
