-- one row per rejected row, and one per table, file and stage of all others: rows, money (none where it would not add up), and the span of their moments
with staged as (
{%- for name in tables %}
    select
        '{{ name }}' as "table", file, stage, rule, rule_column, rule_value, worth, moment, latest,
        case when stage = 'rejected' then line end as line
    from staged_{{ name }}
    {{ "union all" if not loop.last }}
{%- endfor %}
)
select
    "table", file, stage, line,
    max(case when stage = 'rejected' then rule end) as rule,
    max(case when stage = 'rejected' then rule_column end) as rule_column,
    max(case when stage = 'rejected' then rule_value end) as rule_value,
    count(*) as "rows", sum(worth) as amount, min(moment) as first, max(moment) as last,
    max(case when stage = 'kept' then latest end) as newest
from staged
group by "table", file, stage, line
