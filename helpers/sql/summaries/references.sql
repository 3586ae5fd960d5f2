-- one row per column that names a row of another table, where both are given: the values told, and those that nobody knows
with told as (
    select 'subscriptions' as "table", 'plan_id' as "column", 'plans' as refers_to, plan_id as value, count(*) as line_count
    from staged_subscriptions where stage = 'kept' group by plan_id
    union all
    select 'business_events', 'plan_id', 'plans', plan_id, count(*) from mart_business_events where plan_id is not null group by plan_id
    union all
    select 'customers', 'referred_by', 'customers', referred_by, count(*)
    from staged_customers where stage = 'kept' and referred_by is not null group by referred_by
    union all
    select 'marketing_spend', 'channel', 'channels of customers', channel, count(*)
    from staged_marketing_spend where stage = 'kept' and channel is not null group by channel
    union all
    select 'transactions', 'subscription_id', 'subscriptions', subscription_id, count(*)
    from mart_transactions where subscription_id is not null group by subscription_id
    union all
    select 'transactions', 'original_transaction_id', 'transactions', original_transaction_id, count(*)
    from mart_transactions where original_transaction_id is not null group by original_transaction_id
),
known as (
    select 'plans' as refers_to, plan_id as value from staged_plans where stage = 'kept' group by plan_id
    union all
    select 'customers', customer_id from staged_customers where stage = 'kept' group by customer_id
    union all
    select 'channels of customers', channel from staged_customers where stage = 'kept' and channel is not null group by channel
    union all
    select 'subscriptions', subscription_id from staged_subscriptions where stage = 'kept' group by subscription_id
    union all
    select 'transactions', transaction_id
    from mart_transactions
    where transaction_id in (select value from told where "column" = 'original_transaction_id')
    group by transaction_id
),
given as (
    select refers_to from known group by refers_to
    union
    select 'transactions'
),
found as (
    select t.*, k.value is null as is_unknown
    from told as t
    inner join given as g on g.refers_to = t.refers_to
    left join known as k on k.refers_to = t.refers_to and k.value = t.value
),
placed as (                                          -- each value once, so that ranks are places
    select *, rank() over (partition by "table", "column", is_unknown order by value) as place from found
)
select
    "table", "column", refers_to, count(*) as named, count(case when is_unknown then 1 end) as unknown,
    sum(case when is_unknown then line_count else 0 end) as unknown_rows,
    concat(
        max(case when is_unknown and place = 1 then value end), max(case when is_unknown and place = 2 then concat(', ', value) end),
        max(case when is_unknown and place = 3 then concat(', ', value) end)
    ) as examples
from placed
group by "table", "column", refers_to
order by "table", "column"
