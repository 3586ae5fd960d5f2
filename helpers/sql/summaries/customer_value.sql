-- one row per dimension and member: the last 12 months' revenue, or this month's MRR, per active customer and month, in sums
with base as (
    select m.customer_id, k.first_plan_id, k.channel, m.month, m.active_end, m.revenue, m.mrr_end, run.has_subscriptions, run.report_month as last
    from mart_customer_months as m
    inner join mart_customers as k on k.customer_id = m.customer_id
    cross join run
    where m.month between run.report_month - 11 and run.report_month
),
worth as (
    select
        customer_id, first_plan_id, channel,
        -- subscriptions: MRR at the month end per paying customer; sales: revenue of a year per active month
        cast(sum(case when not has_subscriptions then revenue when month = last then mrr_end else 0 end) as decimal(20, 4)) as y,
        cast(count(case when active_end and (not has_subscriptions or month = last) then 1 end) as decimal(20, 4)) as x
    from base
    group by customer_id, first_plan_id, channel
),
members as (
    select 'all' as dimension, 'all' as member, x, y from worth
    union all
    select 'plan', first_plan_id, x, y from worth where first_plan_id is not null
    union all
    select 'channel', channel, x, y from worth where channel is not null
)
select
    dimension, member, count(*) as customers, sum(y) as sum_y, sum(x) as sum_x,
    sum(cast(y * y as decimal(38, 4))) as sum_yy, sum(cast(x * y as decimal(38, 4))) as sum_xy,
    sum(cast(x * x as decimal(38, 4))) as sum_xx
from members
where x <> 0 or y <> 0
group by dimension, member
order by dimension, member
