-- one row per dimension, member, months from bill to bill at the start, and age in months: spells that end or are censored there, and that enter the risk set there
with members as (
    select 'all' as dimension, 'all' as member, first_term as term, spell_months, spell_ended, entry_months
    from mart_customers
    where started_at is not null
    union all
    select 'plan', first_plan_id, first_term, spell_months, spell_ended, entry_months
    from mart_customers
    where first_plan_id is not null
    {%- for name in ["segment", "country", "channel"] + dimensions %}
    union all
    select '{{ name }}', "{{ name }}", first_term, spell_months, spell_ended, entry_months
    from mart_customers
    where started_at is not null and "{{ name }}" is not null
    {%- endfor %}
),
watched as (                                        -- never at risk: gone, or not yet a month old, when watching began
    select * from members where spell_months > entry_months
),
counted as (
    select
        dimension, member, term, spell_months as month,
        count(case when spell_ended then 1 end) as events, count(case when not spell_ended then 1 end) as censored,
        0 as entered
    from watched
    group by dimension, member, term, spell_months
    union all
    select dimension, member, term, entry_months, 0, 0, count(*)
    from watched
    group by dimension, member, term, entry_months
)
select
    dimension, member, term, cast(month as integer) as month, cast(sum(events) as bigint) as events,
    cast(sum(censored) as bigint) as censored, cast(sum(entered) as bigint) as entered
from counted
group by dimension, member, term, month
order by dimension, member, term, month
