-- one row per row read of a table: as judged, the second with a key rejected
with keyed as (
    select
        *,
        {% if table.key %}row_number() over (
            partition by "{{ table.key | join('", "') }}", stage
            order by {% for column in table.columns if column not in table.key %}"{{ column }}", {% endfor %}file, line
        ){% else %}1{% endif %} as copy
    from judged_{{ table.name }}
)
select
    k.file, k.line{% for column in table.columns %},
    k."{{ column }}"
{%- endfor %},
    k.moment, k.latest, k.worth,
    case when k.stage = 'kept' and k.copy > 1 then 'rejected' else k.stage end as stage,
    case when k.stage = 'kept' and k.copy > 1 then 'key stands twice' else k.rule end as rule,
    case when k.stage = 'kept' and k.copy > 1 then '{{ table.key | join(", ") }}' else k.rule_column end as rule_column,
    case when k.stage = 'kept' and k.copy > 1 then cast(k."{{ (table.key or ["file"])[0] }}" as varchar) else k.rule_value end as rule_value
from keyed as k
