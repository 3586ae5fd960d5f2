-- one row per dimension and member: this month's MRR per customer who is there, or the last 12 months' revenue per active customer and month, in sums
{%- set names = ["channel", "segment", "country"] + dimensions %}
with parts as (
    -- subscriptions: MRR at the month end of who pays, or is paused: survival holds both as there; sales: revenue of a year
    select
        m.customer_id, m.mrr_end as y, case when m.active_end then 1 else 0 end as active,
        case when m.paused_end > 0 and not m.active_end then 1 else 0 end as paused
    from mart_customer_months as m cross join run
    where run.has_subscriptions and m.month = run.report_month
    union all
    select m.customer_id, m.revenue, 0, 0
    from mart_customer_months as m cross join run
    where not run.has_subscriptions and m.month between run.report_month - 11 and run.report_month
    union all
    select                                           -- a spell reaches over the ends of all its months but the last
        s.customer_id, 0,
        least(month_of(s.ended_on) - 1, run.report_month) - greatest(month_of(s.started_at), run.report_month - 11) + 1, 0
    from mart_spells as s cross join run
    where not run.has_subscriptions and month_of(s.ended_on) > run.report_month - 11
        and month_of(s.ended_on) > month_of(s.started_at)
),
worth as (
    select
        p.customer_id, k.first_plan_id{% for name in names %}, k."{{ name }}"{% endfor %},
        cast(sum(p.y) as decimal(20, 4)) as y, cast(sum(p.active) as decimal(20, 4)) as active,
        cast(sum(p.active + p.paused) as decimal(20, 4)) as x
    from parts as p
    inner join mart_customers as k on k.customer_id = p.customer_id
    group by p.customer_id, k.first_plan_id{% for name in names %}, k."{{ name }}"{% endfor %}
),
members as (
    select 'all' as dimension, 'all' as member, x, y, active from worth
    union all
    select 'plan', first_plan_id, x, y, active from worth where first_plan_id is not null
    {%- for name in names %}
    union all
    select '{{ name }}', "{{ name }}", x, y, active from worth where "{{ name }}" is not null
    {%- endfor %}
)
select
    dimension, member, count(*) as customers, sum(y) as sum_y, sum(x) as sum_x, sum(active) as sum_active,
    sum(times(y, y)) as sum_yy, sum(times(x, y)) as sum_xy,
    sum(times(x, x)) as sum_xx
from members
where x <> 0 or y <> 0
group by dimension, member
order by dimension, member
