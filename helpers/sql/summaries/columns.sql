-- one row per column that the files of a table have: its kept rows, and in how many of them it is empty
{%- for name, column in columns %}
select '{{ name }}' as "table", '{{ column }}' as "column", count(*) as "rows", count(*) - count("{{ column }}") as empty
from {{ "mart_transactions" if name == "transactions" else "staged_" ~ name ~ " where stage = 'kept'" }}
{{ "union all" if not loop.last }}
{%- endfor %}
order by 1, 2
