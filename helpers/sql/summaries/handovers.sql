-- one row per subscription whose rows name more than one customer, up to 100: the first and the last of them, and when the last takes it over
with begun as (
    select subscription_id, customer_id, min(valid_from) as first_at, max(valid_from) as last_at
    from staged_subscriptions
    where stage = 'kept'
    group by subscription_id, customer_id
),
placed as (
    select
        *, row_number() over (partition by subscription_id order by first_at, customer_id) as nth,
        row_number() over (partition by subscription_id order by last_at desc, customer_id desc) as from_last,
        count(*) over (partition by subscription_id) as customers
    from begun
)
select
    f.subscription_id, f.customers, f.customer_id as first_customer, l.customer_id as last_customer,
    cast(l.last_at as varchar) as taken_over_at, cast(count(*) over () as bigint) as found
from placed as f
inner join placed as l on l.subscription_id = f.subscription_id and l.from_last = 1
where f.nth = 1 and f.customers > 1
order by f.subscription_id
limit 100
