-- one row per customer seen before as_of: attributes, first spell with its age in completed months, and purchase history
with {% if dimensions %}first_told as (     -- as customers says, else as the first of the rows that do
    select customer_id, dimension, member, row_number() over (partition by customer_id, dimension order by place, moment, member) as nth
    from told
),
carried as (
    select customer_id{% for name in dimensions %}, max(case when dimension = '{{ name }}' then member end) as "{{ name }}"{% endfor %}
    from first_told
    where nth = 1
    group by customer_id
),
{% endif %}first_spells as (
    select
        s.*,
        month_of(s.started_at) as first_month,
        extract(day from s.started_at) as start_day, second_of(s.started_at) as start_second,
        s.ended_on < cast(run.as_of as date) as gone,
        -- completed months from the start to as_of, and from the start to the end (upwards); as_of is a month's first instant
        months_lived(run.report_month, s.started_at) as observed,
        month_of(s.ended_on) - month_of(s.started_at) as months_apart
    from mart_spells as s cross join run
    where s.spell = 1
),
aged as (
    select
        f.*,
        -- the start's day in the end's month, clamped to its last; reached only where the end lies not after it
        greatest(1, case
            when least(f.start_day, c.days) > extract(day from f.ended_on) then months_apart
            when least(f.start_day, c.days) = extract(day from f.ended_on) and f.start_second >= f.ended_second then months_apart
            else months_apart + 1
        end) as end_age,
        case
            when run.observed_from is null or f.started_at >= run.observed_from then 0
            else greatest(0, month_of(run.observed_from) - f.first_month
                + case
                    when least(f.start_day, o.days) > extract(day from run.observed_from) then 0
                    when least(f.start_day, o.days) = extract(day from run.observed_from) then 0 else 1
                end)
        end as entry_age
    from first_spells as f
    cross join run
    left join calendar as c on c.month = month_of(f.ended_on)
    left join calendar as o on o.month = month_of(run.observed_from)
),
history as (
    select
        customer_id, min(day) as first_day, cast(sum(revenue) as decimal(24, 4)) as revenue,
        sum(orders) as orders, count(case when sold then 1 end) as sale_days,
        min(case when purchased then day end) as first_sale_day, max(case when purchased then day end) as last_sale_day,
        count(case when purchased then 1 end) as purchase_days
    from mart_customer_days
    group by customer_id
),
second_days as (
    select d.customer_id, min(d.day) as second_sale_day
    from mart_customer_days as d
    inner join history as h on h.customer_id = d.customer_id and d.day > h.first_sale_day
    where d.purchased
    group by d.customer_id
),
attributes as (
    select k.* from staged_customers as k cross join run
    where k.stage = 'kept' and (run.internal_customers = 'count' or not coalesce(k.is_internal, false))
),
everybody as (
    select customer_id from mart_spells where spell = 1
    union
    select customer_id from history
    union
    select customer_id from attributes
)
select
    e.customer_id, k.segment, k.country, k.channel, k.campaign, k.created_at,
    a.started_at, cast(a.first_month as integer) as started_month, a.plan_id as first_plan_id, a.term as first_term,
    case when a.gone then a.ended_on end as ended_on, a.churn_kind,
    cast(a.observed as integer) as observed_months,
    cast(case when a.gone and a.end_age <= a.observed then a.end_age else a.observed end as integer) as spell_months,
    a.gone and a.end_age <= a.observed as spell_ended,
    cast(a.entry_age as integer) as entry_months,
    -- who was there when the book begins, or before it is complete, is seen, not new
    a.first_month >= b.first_month + run.left_edge_months and coalesce(a.started_at >= run.observed_from, true) as is_new,
    h.first_day, coalesce(h.revenue, 0) as revenue, cast(coalesce(h.orders, 0) as bigint) as orders,
    coalesce(h.sale_days, 0) as sale_days,
    h.first_sale_day, d.second_sale_day, h.last_sale_day, coalesce(h.purchase_days, 0) as purchase_days
    {%- for name in dimensions %}, c."{{ name }}"{% endfor %}
from everybody as e
cross join run
cross join (select min(month_of(started_at)) as first_month from mart_spells where spell = 1) as b
left join aged as a on a.customer_id = e.customer_id
left join history as h on h.customer_id = e.customer_id
left join second_days as d on d.customer_id = e.customer_id
left join attributes as k on k.customer_id = e.customer_id
{%- if dimensions %}
left join carried as c on c.customer_id = e.customer_id
{%- endif %}
