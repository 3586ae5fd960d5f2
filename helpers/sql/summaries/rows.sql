-- one row per table and stage: rows and money; read is counted from the raw rows, the others from the staged ones
with raw as (
    select 'transactions' as "table", try_cast(amount as decimal(18, 4)) as amount from raw_transactions
    union all select 'subscriptions', try_cast(unit_amount as decimal(18, 4)) from raw_subscriptions
    union all select 'addons', try_cast(amount as decimal(18, 4)) from raw_addons
    union all select 'customers', cast(0 as decimal(18, 4)) from raw_customers
    union all select 'plans', try_cast(list_price as decimal(18, 4)) from raw_plans
    union all select 'marketing_spend', try_cast(amount as decimal(18, 4)) from raw_marketing_spend
    union all select 'costs', try_cast(amount as decimal(18, 4)) from raw_costs
    union all select 'business_events', cast(0 as decimal(18, 4)) from raw_business_events
),
stages as (
    select 'read' as stage, 1 as position
    union all select 'kept', 2
    union all select 'rejected', 3
    union all select 'after_as_of', 4
),
counted as (
    select "table", 'read' as stage, count(*) as "rows", coalesce(sum(amount), 0) as amount from raw group by "table"
    union all
    select "table", stage, cast(sum("rows") as bigint), sum(amount) from staged_rows group by "table", stage
)
select r."table", s.stage, coalesce(c."rows", 0) as "rows", coalesce(c.amount, cast(0 as decimal(38, 4))) as amount
from (select distinct "table" from counted) as r
cross join stages as s
left join counted as c on c."table" = r."table" and c.stage = s.stage
order by r."table", s.position
