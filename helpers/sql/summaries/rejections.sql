-- one row per table, rule and column: rejected rows and their readable money
select "table", rule, rule_column as "column", count(*) as "rows", sum(amount) as amount
from staged_rows
where stage = 'rejected'
group by "table", rule, rule_column
order by "table", rule, "column"
