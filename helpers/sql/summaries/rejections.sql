-- one row per table, rule and column: rejected rows and their readable money
select "table", rule, rule_column as "column", count(*) as "rows", coalesce(sum(amount), 0) as amount
from (
    select 'transactions' as "table", rule, rule_column, amount, stage from staged_transactions
    union all select 'subscriptions', rule, rule_column, cast(unit_amount as decimal(18, 4)), stage from staged_subscriptions
    union all select 'addons', rule, rule_column, amount, stage from staged_addons
    union all select 'customers', rule, rule_column, cast(0 as decimal(18, 4)), stage from staged_customers
    union all select 'plans', rule, rule_column, cast(list_price as decimal(18, 4)), stage from staged_plans
    union all select 'marketing_spend', rule, rule_column, amount, stage from staged_marketing_spend
    union all select 'costs', rule, rule_column, amount, stage from staged_costs
) as staged
where stage = 'rejected'
group by "table", rule, rule_column
order by "table", rule, "column"
