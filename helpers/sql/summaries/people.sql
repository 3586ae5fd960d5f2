-- one row per table that names customers: how many, how many the table customers knows, and ids that another one stands for
with seen as (
    select 'transactions' as "table", customer_id from mart_customers where first_day is not null
    union all
    select distinct 'subscriptions', customer_id from mart_subscriptions
    union all
    select distinct 'addons', customer_id from mart_addons
    union all
    select distinct 'usage', customer_id from mart_usage
    union all
    select distinct 'feedback', customer_id from mart_feedback
    union all
    select distinct 'support_tickets', customer_id from mart_support_tickets
    union all
    select distinct 'touches', customer_id from mart_touches
    union all
    select 'customers', customer_id from staged_customers where stage = 'kept'
),
spellings as (
    select person_id, count(*) as others from identity group by person_id
),
known as (
    select
        customer_id,
        case when email_hash is not null and count(*) over (partition by lower(email_hash)) > 1 then 1 else 0 end as shares_email
    from staged_customers
    where stage = 'kept'
)
select
    s."table", count(*) as customers, count(k.customer_id) as known, count(*) - count(k.customer_id) as unknown,
    cast(coalesce(sum(p.others), 0) as bigint) as other_spellings, cast(coalesce(sum(k.shares_email), 0) as bigint) as shared_email
from seen as s
left join known as k on k.customer_id = s.customer_id
left join spellings as p on p.person_id = s.customer_id
group by s."table"
order by 1
