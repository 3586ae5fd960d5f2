-- one row per row read of a table: as judged, the second with a key rejected, by what it says besides
with keyed as (
    select
        *,
        {%- if table.key %}
        {%- set alike = 'partition by "' ~ table.key | join('", "') ~ '", stage order by "'
            ~ table.columns | reject("in", table.key) | join('", "') ~ '"' %}
        row_number() over ({{ alike }}, file, line) as copy,
        rank() over ({{ alike }}) as ranked                  -- 1 for what is equal to the first copy
        {%- else %}
        1 as copy, 1 as ranked
        {%- endif %}
    from judged_{{ table.name }}
)
select
    k.file, k.line{% for column in table.columns %},
    k."{{ column }}"
{%- endfor %},
    k.moment, k.latest, k.worth,
    case when k.stage = 'kept' and k.copy > 1 then 'rejected' else k.stage end as stage,
    case
        when k.stage <> 'kept' or k.copy = 1 then k.rule
        when k.ranked = 1 then 'repeated'
        else 'contradicts another row'
    end as rule,
    case when k.stage = 'kept' and k.copy > 1 then '{{ table.key | join(", ") }}' else k.rule_column end as rule_column,
    case when k.stage = 'kept' and k.copy > 1 then cast(k."{{ (table.key or ["file"])[0] }}" as varchar) else k.rule_value end as rule_value
from keyed as k
