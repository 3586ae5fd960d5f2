-- one row per table, rule, column and, where it matters, kind of value (a currency; what a date names first): how many rows were rejected, and the first
with told as (
    select
        *, case
            when rule = 'other currency than the report' then rule_value
            when rule = 'cannot be read' and surely_first(rule_value) is not null then concat(surely_first(rule_value), ' ', file)
        end as kind
    from staged_rows
    where stage = 'rejected'
),
placed as (
    select
        *, row_number() over (partition by "table", rule, rule_column, kind order by file, line) as nth,
        sum("rows") over (partition by "table", rule, rule_column, kind) as alike
    from told
)
select
    "table", rule, rule_column as "column", cast(alike as bigint) as "rows", file, line, substr(rule_value, 1, 80) as value, kind
from placed
where nth = 1
order by "table", rule, "column", kind, file, line
limit 1000
