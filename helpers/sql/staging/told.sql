-- one row per dimension of the params and kept row that names its member: of which table, whose, and when
{%- for name in dimensions %}{% set last = loop.last %}{% for table in tables %}
select '{{ name }}' as dimension, {{ loop.index }} as place, customer_id, moment, "{{ name }}" as member
from staged_{{ table }}
where stage = 'kept' and "{{ name }}" is not null
{{ "union all" if not (last and loop.last) }}
{%- endfor %}{% endfor %}
