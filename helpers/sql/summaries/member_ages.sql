-- one row per dimension, member, plan at the start and age in months: first spells that end, are censored or enter there, and of the customers whose spell it is who is there (paying or paused), their MRR in sums, and who is new within six months
{%- set names = ["channel", "segment", "country"] + dimensions %}
{%- set columns = '"' ~ names | join('", "') ~ '"' %}
with spells as (
    select
        {% for name in names %}k."{{ name }}", {% endfor %}k.first_plan_id as plan_id, k.spell_months, k.entry_months,
        case when k.spell_months > k.entry_months then 1 else 0 end as watched, case when k.spell_ended then 1 else 0 end as ended,
        case when m.active_end or m.paused_end > 0 then 1 else 0 end as there, coalesce(m.mrr_end, 0) as mrr,
        case when k.is_new and k.started_month between run.report_month - 5 and run.report_month then 1 else 0 end as is_new
    from mart_customers as k
    cross join run
    left join mart_customer_months as m on m.customer_id = k.customer_id and m.month = run.report_month
    where k.first_plan_id is not null
),
counted as (
    select
        {{ columns }}, plan_id, spell_months as month, sum(watched * ended) as events,
        sum(watched * (1 - ended)) as censored, 0 as entered, sum(there) as there, sum(mrr) as mrr,
        sum(times(mrr, mrr)) as mrr_squared, sum(is_new) as new_customers
    from spells
    group by {{ columns }}, plan_id, spell_months
    union all
    select {{ columns }}, plan_id, entry_months, 0, 0, sum(watched), 0, 0, 0, 0
    from spells
    group by {{ columns }}, plan_id, entry_months
),
members as (
    {%- for name in names %}
    {{ "union all" if not loop.first }}
    select '{{ name }}' as dimension, "{{ name }}" as member, c.* from counted as c where "{{ name }}" is not null
    {%- endfor %}
)
select
    dimension, member, plan_id, cast(month as integer) as month, cast(sum(events) as bigint) as events,
    cast(sum(censored) as bigint) as censored, cast(sum(entered) as bigint) as entered,
    cast(sum(there) as bigint) as there, sum(mrr) as mrr, sum(mrr_squared) as mrr_squared,
    cast(sum(new_customers) as bigint) as new_customers
from members
group by dimension, member, plan_id, month
order by dimension, member, plan_id, month
