-- one row per rejected row: where it stands and the rule that it breaks; the value cut at 80 characters
select "table", file, line, rule, rule_column as "column", substr(rule_value, 1, 80) as value
from staged_rows
where stage = 'rejected'
order by "table", file, line
