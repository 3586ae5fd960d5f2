-- one row per {{ "subscription, " if single }}customer, plan and month whose end finds a paying or paused subscription: its MRR and the MRR that is paused
{%- set by_bill = policy.fx_rates_on == "invoice_date" %}
{%- set by_day = policy.plan_changes == "by_day" %}
with live as (
    select
        s.customer_id, s.plan_id, c.month, s.currency, cast(c.month_start as date) as first_day, cast(c.month_end as date) as next_day,
        case when s.discount_ends_at < {{ "least(s.paid_until, c.month_end)" if by_day else "c.month_end" }} then s.full_mrr else s.discounted_mrr end as mrr,
        -- a snapshot holds the last pause and the last resumption: one before the pause ends an earlier one
        coalesce(s.paused_at < c.month_end, false) and coalesce(s.resumed_at >= c.month_end or s.resumed_at < s.paused_at, true)
            and run.pauses <> 'unchanged' as paused
        {%- if single or by_day %}, s.subscription_id{% endif %}
        {%- if by_bill %},
        s.billing, s.interval_count, term_of(s.billing, s.interval_count) as term,
        greatest(s.started_at, coalesce(s.trial_ended_at, s.started_at)) as billed_from
        {%- endif %}
        {%- if by_day %},
        s.valid_from, s.paid_until >= c.month_end as stands,
        cast(greatest(s.paid_from, c.month_start) as date) as from_on, cast(least(s.paid_until, c.month_end) as date) as until_on
        {%- endif %}
    from mart_subscriptions as s
    cross join run
    inner join calendar as c
        on c.month between month_of(s.paid_from) and month_of(s.paid_until)
        and s.paid_from < c.month_end and s.paid_until {{ "> c.month_start" if by_day else ">= c.month_end" }}
    where s.pays
),
{%- if by_bill %}
billed as (                                          -- months with bills: of the last before the month's end and before its start, or the first
    select
        *, extract(day from billed_from) as bill_day, cast(billed_from as date) as first_bill_on,
        month - (month - month_of(billed_from)) % term as end_bill,
        case when month = month_of(billed_from) then month else month - 1 - (month - 1 - month_of(billed_from)) % term end as start_bill,
        case billing when 'week' then 7 when 'day' then 1 end * interval_count as bill_days        -- weeks and days know no months
    from live
),
first_rates as (                                     -- for bills that are older than all rates
    select r.currency, r.rate
    from rates as r
    inner join (select currency, min(day) as day from rates group by currency) as f on f.currency = r.currency and f.day = r.day
),
dated as (
    select
        b.*,
        case
            when b.bill_days is null then cast(e.month_start as date) + cast(least(b.bill_day, e.days) - 1 as integer)
            else b.next_day - 1 - cast(date_diff('day', b.first_bill_on, b.next_day - 1) % b.bill_days as integer)
        end as end_rate_on,
        case
            when b.first_bill_on >= b.first_day then b.first_bill_on
            when b.bill_days is null then cast(s.month_start as date) + cast(least(b.bill_day, s.days) - 1 as integer)
            else b.first_day - 1 - cast(date_diff('day', b.first_bill_on, b.first_day - 1) % b.bill_days as integer)
        end as start_rate_on
    from billed as b
    inner join calendar as e on e.month = b.end_bill
    inner join calendar as s on s.month = b.start_bill
),
{%- endif %}
{{ "ends" if by_day else "priced" }} as (                                          -- in the report's currency: at the last rate before the month's end, and before its start
    select
        l.customer_id, l.plan_id, l.month, l.paused,
        cast(round(l.mrr * coalesce({{ "e.rate, r" if by_bill else "e" }}.rate, 1), 4) as decimal(18, 4)) as mrr,
        cast(round(l.mrr * coalesce(s.rate, {{ "r" if by_bill else "e" }}.rate, 1), 4) as decimal(18, 4)) as mrr_fixed
        {%- if single or by_day %}, l.subscription_id{% endif %}
        {%- if by_day %}, l.valid_from, l.stands, l.from_on, l.until_on{% endif %}
    from {{ "dated" if by_bill else "live" }} as l
    left join rates as e on e.currency = l.currency and e.day = l.{{ "end_rate_on" if by_bill else "next_day - 1" }}
    left join rates as s on s.currency = l.currency and s.day = l.{{ "start_rate_on" if by_bill else "first_day - 1" }}
    {%- if by_bill %}
    left join first_rates as r on r.currency = l.currency
    {%- endif %}
    where l.mrr > 0
)
{%- if by_day %},
placed as (                                          -- a plan that is given up within the month stands on the first that is not
    select
        *,
        case
            when max(stands) over (partition by subscription_id, customer_id, month, plan_id) then plan_id
            else min(case when stands then plan_id end) over (partition by subscription_id, customer_id, month)
        end as end_plan_id,
        cast(date_diff('day', from_on, until_on) as decimal(4, 0)) as days,
        greatest(0, date_diff('day', greatest(from_on, coalesce(max(until_on) over (
            partition by subscription_id, customer_id, month order by from_on, valid_from, plan_id
            rows between unbounded preceding and 1 preceding
        ), from_on)), until_on)) as further_days     -- each day once, however many plans it bills
    from ends
),
weighed as (
    select *, cast(sum(further_days) over (partition by subscription_id, customer_id, month) as decimal(9, 0)) as all_days from placed
),
priced as (
    select
        subscription_id, customer_id, end_plan_id as plan_id, month, max(stands and paused) as paused,
        monthly(cast(sum(mrr * days) as decimal(28, 4)), cast(1 as decimal(4, 0)), all_days) as mrr,
        monthly(cast(sum(mrr_fixed * days) as decimal(28, 4)), cast(1 as decimal(4, 0)), all_days) as mrr_fixed
    from weighed
    where end_plan_id is not null
    group by subscription_id, customer_id, end_plan_id, month, all_days
)
{%- endif %}
select
    {% if single %}p.subscription_id, {% endif %}p.customer_id, p.plan_id, cast(p.month as integer) as month,
    cast(sum(case when p.paused then 0 else p.mrr end) as decimal(18, 4)) as mrr,
    cast(sum(case when p.paused then 0 else p.mrr_fixed end) as decimal(18, 4)) as mrr_fixed,
    cast(sum(case when p.paused then p.mrr else 0 end) as decimal(18, 4)) as paused_mrr,
    cast(count(*) as integer) as subscriptions
from priced as p
cross join run
where not p.paused or run.pauses = 'movement'
group by {% if single %}p.subscription_id, {% endif %}p.customer_id, p.plan_id, p.month
