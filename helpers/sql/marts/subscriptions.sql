-- one row per subscription, plan and version{{ " at one list price" if policy.mrr_source == "plan_prices" }}, with its monthly amount in its currency and the span over which it pays
{%- set listed = policy.mrr_source == "plan_prices" %}
{%- set told = "invoiced" if policy.mrr_source == "invoices" else "staged_subscriptions" %}
with versions as (                                   -- one that names no end goes on until the next one begins
    select v.subscription_id, v.valid_from, min(n.valid_from) as next_from
    from {{ told }} as v
    left join {{ told }} as n
        on n.subscription_id = v.subscription_id and n.valid_from > v.valid_from and n.stage = 'kept'
    where v.stage = 'kept'
    group by v.subscription_id, v.valid_from
),
dated as (
    select
        s.* exclude (ended_at, valid_to, paused_at, past_due_since{% for name in dimensions %}, "{{ name }}"{% endfor %}),
        least(s.valid_to, v.next_from) as valid_to, v.next_from is null as is_last,
        -- a notice from before the start, as in a trial or ahead of an order, ends nothing that has begun
        case when run.churn_moment = 'cancel' and s.canceled_at >= s.started_at then least(s.canceled_at, s.ended_at) else s.ended_at end as ended_at,
        case
            when run.mrr_includes_discounts and (s.discount_ends_at is null or run.finite_discounts = 'lower') then s.discount_amount
            else cast(0 as decimal(18, 4))
        end as discount,
        -- a month of an interval: year 1/12, month 1, week 52/12, day 365.25/12 = 1461/48
        cast(case s."interval" when 'week' then 52 when 'day' then 1461 else 1 end as decimal(4, 0)) as numerator,
        cast(case s."interval" when 'month' then 1 when 'day' then 48 else 12 end * s.interval_count as decimal(9, 0)) as denominator,
        case when lower(s.status) = 'paused' then coalesce(s.paused_at, s.valid_from) else s.paused_at end as paused_at,
        -- a snapshot may tell the status alone: the bill that is open is that of the period's end, if it lies before, or start
        coalesce(s.past_due_since, case when lower(s.status) in ('past_due', 'unpaid') then coalesce(
            case when s.current_period_end < run.as_of then s.current_period_end end,
            case when s.valid_from > s.started_at then s.valid_from end,
            cast(case
                when s."interval" = 'week' then cast(s.current_period_end as date) - 7 * s.interval_count
                when s."interval" = 'day' then cast(s.current_period_end as date) - s.interval_count
                else cast(c.month_start as date) + cast(least(extract(day from s.current_period_end), c.days) - 1 as integer)
            end as timestamp)
        ) end) as due_since, run.as_of, run.grace_days
    from {{ told }} as s
    cross join run
    left join calendar as c on c.month = month_of(s.current_period_end) - term_of(s."interval", s.interval_count)
    inner join versions as v on v.subscription_id = s.subscription_id and v.valid_from = s.valid_from
    where s.stage = 'kept'
),
known as (
    select
        * exclude (due_since, as_of, grace_days), case when due_since < as_of then due_since end as past_due_since,
        case when due_since < as_of then cast(due_since as date) + grace_days end as grace_ends_on
    from dated
),
{%- if listed %}
prices as (                                          -- as written, for a price is compared in its currency; before the first there is none
    select p.plan_id, p.priced_from, p.list_price, p.price_currency, p.price_interval,
        lead(p.priced_from) over (partition by p.plan_id order by p.priced_from, p.line) as priced_to
    from (
        select
            p.plan_id, coalesce(p.valid_from, timestamp '1970-01-01 00:00:00') as priced_from, r.list_price,
            upper(coalesce(r.currency, run.currency)) as price_currency, lower(r."interval") as price_interval, p.line
        from staged_plans as p
        inner join raw_plans as r on r.file = p.file and r.line = p.line
        cross join run
        where p.stage = 'kept'
        union all
        select plan_id, timestamp '1970-01-01 00:00:00', null, null, null, -1 from staged_plans where stage = 'kept' group by plan_id
    ) as p
),
pieces as (                                          -- a version is parted where the list price of its plan changes
    select
        k.*, p.priced_from, p.priced_to, p.price_interval, coalesce(p.priced_from <= k.valid_from, true) as opens,
        coalesce(least(k.valid_to, k.ended_at), timestamp '9999-12-31 00:00:00') as over_at,
        case when p.price_currency = k.currency and coalesce(p.price_interval in ('day', 'week', 'month', 'year'), true)
            then p.list_price end as list_price
    from known as k
    left join prices as p
        on p.plan_id = k.plan_id and p.priced_from < coalesce(least(k.valid_to, k.ended_at), timestamp '9999-12-31 00:00:00')
        and coalesce(p.priced_to > k.valid_from, true)
),
parted as (
    select
        p.* exclude (valid_from, valid_to, is_last, numerator, denominator),
        greatest(p.valid_from, p.priced_from) as valid_from, least(p.valid_to, p.priced_to) as valid_to,
        p.is_last and coalesce(p.priced_to >= p.over_at, true) as is_last,
        coalesce(p.list_price, p.unit_amount) as price, p.list_price is not null as is_listed,
        monthly(cast(p.discount as decimal(28, 12)), p.numerator, p.denominator) as monthly_discount,
        case when p.list_price is null or p.price_interval is null then p.numerator
            else cast(case p.price_interval when 'week' then 52 when 'day' then 1461 else 1 end as decimal(4, 0)) end as numerator,
        case when p.list_price is null or p.price_interval is null then p.denominator
            else cast(case p.price_interval when 'month' then 1 when 'day' then 48 else 12 end as decimal(9, 0)) end as denominator
    from pieces as p
),
{%- endif %}
priced as (
    select
        *,
        monthly(cast(cast({{ "price" if listed else "unit_amount" }} as decimal(20, 8)) * quantity as decimal(28, 12)), numerator, denominator) as full_mrr,
        {%- if listed %}
        cast(greatest(
            monthly(cast(cast(price as decimal(20, 8)) * quantity as decimal(28, 12)), numerator, denominator) - monthly_discount, 0
        ) as decimal(18, 4)) as discounted_mrr
    from parted
        {%- else %}
        monthly(
            cast(greatest(cast(unit_amount as decimal(20, 8)) * quantity - discount, 0) as decimal(28, 12)), numerator, denominator
        ) as discounted_mrr
    from known
        {%- endif %}
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
    case when cast(grace_ends_on as timestamp) < ends_at then coalesce(churn_kind, 'involuntary') else churn_kind end as churn_kind,
    past_due_since, paused_at, resumed_at, valid_to, is_last, full_mrr, discounted_mrr,
    paid_from,
    least(ends_at, coalesce(cast(grace_ends_on as timestamp), ends_at)) as paid_until,
    full_mrr > 0 and coalesce(lower(status) not in ('free', 'incomplete', 'incomplete_expired'), true)
        and coalesce(lower(status) not in ('trialing', 'trial') or trial_ended_at is not null, true)
        and paid_from < least(ends_at, coalesce(cast(grace_ends_on as timestamp), ends_at)) as pays,
    {{ "opens, is_listed" if listed else ("true" if told == "staged_subscriptions" else "false") ~ " as opens, false as is_listed" }}       -- opens: stands for its row of the table
from spanned
