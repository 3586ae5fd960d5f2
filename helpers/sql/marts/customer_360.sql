-- one row per customer: who it is, what it pays and bought, and what it last said and asked, at the month's end; no names
with plans as (
    select
        customer_id, plan_id, mrr, paused_mrr,
        row_number() over (partition by s.customer_id order by mrr desc, plan_id) as nth,
        sum(mrr) over (partition by s.customer_id) as all_mrr
    from mart_subscription_months as s
    cross join run
    where s.month = run.report_month
),
tickets as (
    select customer_id, count(*) as tickets, count(*) - count(solved_at) as open_tickets, max(opened_at) as last_ticket_at
    from mart_support_tickets
    group by customer_id
),
answers as (
    select customer_id, score, row_number() over (partition by customer_id order by answered_at desc, feedback_id) as nth
    from (select * from mart_feedback where kind = 'nps' and answered_at is not null) as nps
),
touched as (
    select customer_id, count(*) as touches, max(touched_at) as last_touch_at from mart_touches where not coalesce(holdout, false)
    group by customer_id
),
used as (
    select u.customer_id, max(cast(u.date as date)) as last_use_day, count(distinct u.feature) as features_used
    from mart_usage as u
    cross join run
    where cast(u.date as date) >= cast(run.as_of as date) - 90 and u.count > 0
    group by u.customer_id
)
select
    k.*, a.customer_id is not null as in_customers, a.owner, a.email_hash, a.referred_by, a.loyalty_tier, a.loyalty_joined_at,
    a.loyalty_points, a.marketing_consent,
    p.plan_id, cast(coalesce(p.all_mrr, 0) as decimal(18, 4)) as mrr,
    r.recency_days, r.frequency, r.monetary, r.segment as rfm_segment,
    coalesce(t.tickets, 0) as tickets, coalesce(t.open_tickets, 0) as open_tickets, t.last_ticket_at, n.score as last_nps,
    coalesce(x.touches, 0) as touches, x.last_touch_at, u.last_use_day, coalesce(u.features_used, 0) as features_used
from (select * exclude (segment), segment as customer_segment from mart_customers) as k
left join staged_customers as a on a.customer_id = k.customer_id and a.stage = 'kept'
left join plans as p on p.customer_id = k.customer_id and p.nth = 1
left join mart_rfm_customers as r on r.customer_id = k.customer_id
left join tickets as t on t.customer_id = k.customer_id
left join answers as n on n.customer_id = k.customer_id and n.nth = 1
left join touched as x on x.customer_id = k.customer_id
left join used as u on u.customer_id = k.customer_id
