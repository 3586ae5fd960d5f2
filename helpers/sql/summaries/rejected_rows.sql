-- one row per rejected row: where it stands and the rule that it breaks; the value cut at 80 characters
select "table", file, line, rule, rule_column as "column", substr(rule_value, 1, 80) as value
from (
    select 'transactions' as "table", file, line, rule, rule_column, rule_value, stage from staged_transactions
    union all select 'subscriptions', file, line, rule, rule_column, rule_value, stage from staged_subscriptions
    union all select 'addons', file, line, rule, rule_column, rule_value, stage from staged_addons
    union all select 'customers', file, line, rule, rule_column, rule_value, stage from staged_customers
    union all select 'plans', file, line, rule, rule_column, rule_value, stage from staged_plans
    union all select 'marketing_spend', file, line, rule, rule_column, rule_value, stage from staged_marketing_spend
    union all select 'costs', file, line, rule, rule_column, rule_value, stage from staged_costs
) as staged
where stage = 'rejected'
order by "table", file, line
