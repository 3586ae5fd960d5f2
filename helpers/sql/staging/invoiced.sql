-- one row per subscription, product and stretch of days over which the same paid lines bill it, as a version of a subscription
with told as (                                       -- what the table of subscriptions says of one, where it is given
    select
        subscription_id, plan_id, ended_at, canceled_at, cancel_reason, churn_kind,
        row_number() over (partition by subscription_id order by valid_from desc, plan_id) as nth
    from staged_subscriptions
    where stage = 'kept'
),
periods as (                                         -- in the currency of the invoice, for movements are told without its rates
    select
        t.file, t.line, t.customer_id, t.subscription_id, upper(coalesce(r.currency, run.currency)) as currency,
        coalesce(t.subscription_id, t.customer_id) as id, coalesce(t.product_id, s.plan_id, t.item_type, 'subscription') as plan_id,
        r.amount + case when run.mrr_includes_discounts then 0 else coalesce(r.discount, 0) end as amount,
        cast(t.service_start as date) as from_on,
        cast(t.service_end as date) + case when second_of(t.service_end) >= 86340 then 1 else 0 end as end_on
    from staged_transactions as t
    inner join raw_transactions as r on r.file = t.file and r.line = t.line
    cross join run
    left join told as s on s.subscription_id = t.subscription_id and s.nth = 1
    where t.stage = 'kept' and t.status = 'paid' and t.type <> 'refund' and t.customer_id is not null
        and coalesce(t.item_type in ('subscription', 'addon'), true) and in_service(t.service_start, t.service_end)
),
named as (                                           -- an id that two customers share, or two currencies, is several subscriptions
    select
        p.* exclude (id, end_on),
        case
            when min(customer_id) over (partition by id) = max(customer_id) over (partition by id)
                and min(currency) over (partition by id) = max(currency) over (partition by id) then id
            else concat(id, ' of ', customer_id, ' in ', currency)
        end as id,
        -- an end told as the last day: where no period is whole months, and the day after makes it so
        case
            when max(whole_months(from_on, end_on)) over (partition by id) = 0 and whole_months(from_on, end_on + 1) > 0 then end_on + 1
            else end_on
        end as until_on
    from periods as p
),
spans as (
    select *, date_diff('day', from_on, until_on) as days, whole_months(from_on, until_on) as months
    from named
    where from_on < until_on
),
parts as (                                           -- a part of a period is a part of its days: the period of the subscription around it
    select
        l.*, max(l.months) over (partition by l.id) as longest, p.days as whole_days, p.months as whole_months,
        row_number() over (partition by l.file, l.line order by p.from_on desc, p.until_on, p.line) as nth
    from spans as l
    left join spans as p
        on p.id = l.id and l.months = 0 and p.months > 0 and p.amount > 0 and p.from_on <= l.from_on and p.until_on >= l.until_on
),
factors as (                                         -- months in the period = denominator ÷ numerator
    select
        *,
        cast(case
            when months > 0 then 1
            when whole_days is not null then whole_days
            when longest > 0 and days <= 31 then days_before(until_on)
            when days % 7 = 0 then 91
            else 1461
        end as decimal(4, 0)) as numerator,
        cast(case
            when months > 0 then months
            when whole_days is not null then days * whole_months
            when longest > 0 and days <= 31 then days
            when days % 7 = 0 then 3 * days
            else 48 * days
        end as decimal(9, 0)) as denominator
    from parts
    where nth = 1
),
priced as (
    select
        *, monthly(cast(amount as decimal(28, 12)), numerator, denominator) as mrr,
        monthly(cast(0.005 as decimal(28, 12)), numerator, denominator) as half_cent
    from factors
),
edges as (
    select id, from_on as day from priced
    union
    select id, until_on from priced
),
stretches as (
    select id, day as from_on, lead(day) over (partition by id order by day) as until_on from edges
),
billed as (                                          -- what is left of charges and credits that were rounded to cents is nothing
    select
        s.id, s.from_on, s.until_on, l.plan_id, min(l.customer_id) as customer_id, min(l.subscription_id) as subscription_id,
        min(l.currency) as currency, sum(l.mrr) as mrr, sum(l.mrr) > case when min(l.mrr) < 0 then sum(l.half_cent) else 0 end as pays,
        coalesce(max(case when l.amount > 0 and l.months > 0 then l.months end), case when max(l.longest) > 0 then max(l.longest) end, 1) as term
    from stretches as s
    inner join priced as l on l.id = s.id and l.from_on <= s.from_on and l.until_on >= s.until_on
    group by s.id, s.from_on, s.until_on, l.plan_id
),
anchors as (                                         -- the first bill of each term
    select id, months as term, min(from_on) as from_on from priced where months > 0 and amount > 0 group by id, months
),
followed as (
    select id, day, lead(day) over (partition by id order by day) as next_on
    from (select id, from_on as day from billed group by id, from_on) as each_stretch
),
ended as (                                           -- who is not billed again is past due, unless a credit or the subscription ends it
    select
        b.*, t.canceled_at, t.cancel_reason, t.churn_kind, f.next_on,
        case
            when f.next_on = b.until_on then b.until_on
            else greatest(b.until_on, least(b.until_on + run.grace_days, f.next_on, cast(t.ended_at as date)))
        end as paid_until,
        max(b.from_on) over (partition by b.id) = b.from_on as is_last, run.as_of
    from billed as b
    cross join run
    inner join followed as f on f.id = b.id and f.day = b.from_on
    left join told as t on t.subscription_id = b.subscription_id and t.nth = 1
    where b.pays and cast(b.from_on as timestamp) < run.as_of
)
select
    e.id as subscription_id, e.customer_id, e.plan_id,
    cast(e.mrr * e.term as decimal(18, 8)) as unit_amount, 'month' as "interval", cast(e.term as integer) as interval_count,
    cast(1 as decimal(18, 4)) as quantity, cast(0 as decimal(18, 4)) as discount_amount, cast(null as timestamp) as discount_ends_at,
    e.currency, cast(null as varchar) as status, cast(null as varchar) as contract, cast(null as timestamp) as trial_ended_at,
    cast(least(e.from_on, a.from_on) as timestamp) as started_at,
    -- a period paid for beyond as_of is no end that is known
    cast(case when e.is_last and cast(e.paid_until as timestamp) < e.as_of then e.paid_until end as timestamp) as ended_at,
    e.canceled_at, e.cancel_reason, e.churn_kind, cast(null as timestamp) as past_due_since,
    cast(null as timestamp) as paused_at, cast(null as timestamp) as resumed_at, cast(null as timestamp) as current_period_end,
    cast(e.from_on as timestamp) as valid_from,
    cast(case when cast(e.paid_until as timestamp) < e.as_of then e.paid_until end as timestamp) as valid_to, 'kept' as stage
    {%- for name in dimensions %}, cast(null as varchar) as "{{ name }}"{% endfor %}
from ended as e
left join anchors as a on a.id = e.id and a.term = e.term
