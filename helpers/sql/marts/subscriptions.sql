-- one row per subscription, plan and version, with its monthly amount in its currency and the span over which it pays
with versions as (                                   -- one that names no end goes on until the next one begins
    select v.subscription_id, v.valid_from, min(n.valid_from) as next_from
    from staged_subscriptions as v
    left join staged_subscriptions as n
        on n.subscription_id = v.subscription_id and n.valid_from > v.valid_from and n.stage = 'kept'
    where v.stage = 'kept'
    group by v.subscription_id, v.valid_from
),
known as (
    select
        s.* exclude (ended_at, valid_to{% for name in dimensions %}, "{{ name }}"{% endfor %}),
        least(s.valid_to, v.next_from) as valid_to, v.next_from is null as is_last,
        case when run.churn_moment = 'cancel' then least(s.canceled_at, s.ended_at) else s.ended_at end as ended_at,
        case when run.mrr_includes_discounts then s.discount_amount else cast(0 as decimal(18, 4)) end as discount,
        -- a month of an interval: year 1/12, month 1, week 52/12, day 365.25/12 = 1461/48
        cast(case s."interval" when 'week' then 52 when 'day' then 1461 else 1 end as decimal(4, 0)) as numerator,
        cast(case s."interval" when 'month' then 1 when 'day' then 48 else 12 end * s.interval_count as decimal(9, 0)) as denominator,
        cast(s.past_due_since as date) + run.grace_days as grace_ends_on
    from staged_subscriptions as s
    cross join run
    inner join versions as v on v.subscription_id = s.subscription_id and v.valid_from = s.valid_from
    where s.stage = 'kept'
),
priced as (
    select
        *,
        monthly(cast(cast(unit_amount as decimal(20, 8)) * quantity as decimal(28, 12)), numerator, denominator) as full_mrr,
        monthly(
            cast(greatest(cast(unit_amount as decimal(20, 8)) * quantity - discount, 0) as decimal(28, 12)), numerator, denominator
        ) as discounted_mrr
    from known
),
spanned as (
    select
        *,
        greatest(
            started_at, valid_from, trial_ended_at,
            case when discounted_mrr = 0 then discount_ends_at end
        ) as paid_from,
        coalesce(least(
            ended_at, valid_to,
            case when discounted_mrr = 0 and discount_amount > 0 and discount_ends_at is null then started_at end
        ), timestamp '9999-12-31 00:00:00') as ends_at
    from priced
)
select
    subscription_id, valid_from, customer_id, plan_id, unit_amount, currency, "interval" as billing, interval_count, quantity,
    discount_amount, discount_ends_at, status, contract, started_at, trial_ended_at, ended_at, canceled_at, cancel_reason,
    churn_kind, past_due_since, paused_at, resumed_at, valid_to, is_last, full_mrr, discounted_mrr,
    paid_from,
    least(ends_at, coalesce(cast(grace_ends_on as timestamp), ends_at)) as paid_until,
    full_mrr > 0 and coalesce(lower(status) not in ('free', 'incomplete', 'incomplete_expired'), true)
        and coalesce(lower(status) not in ('trialing', 'trial') or trial_ended_at is not null, true)
        and paid_from < least(ends_at, coalesce(cast(grace_ends_on as timestamp), ends_at)) as pays
from spanned
