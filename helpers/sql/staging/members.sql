-- one row per dimension of the params: how many values it has in kept rows of the tables that may hold it
with told as (
{%- for name in dimensions %}{% set last = loop.last %}{% for table in tables %}
    select '{{ name }}' as dimension, "{{ name }}" as member from staged_{{ table }} where stage = 'kept'
    {{ "union all" if not (last and loop.last) }}
{%- endfor %}{% endfor %}
)
select dimension, count(distinct member) as members from told group by dimension order by dimension
