-- one row per table and id of a customer that the table customers, where given, does not know: 1,000 of them, those of most money first
with told as (
    select 'transactions' as "table", customer_id, transacted_at as moment, amount as worth from mart_transactions where customer_id is not null
    union all
    select 'subscriptions', customer_id, moment, worth from staged_subscriptions where stage = 'kept'
    union all
    select 'addons', customer_id, moment, worth from staged_addons where stage = 'kept'
    union all
    select 'usage', customer_id, moment, worth from staged_usage where stage = 'kept'
    union all
    select 'feedback', customer_id, moment, worth from staged_feedback where stage = 'kept'
    union all
    select 'support_tickets', customer_id, moment, worth from staged_support_tickets where stage = 'kept'
    union all
    select 'touches', customer_id, moment, worth from staged_touches where stage = 'kept'
),
known as (
    select customer_id from staged_customers where stage = 'kept'
),
unknown as (
    select
        t."table", t.customer_id, count(*) as "rows", cast(min(t.moment) as date) as first_day, cast(max(t.moment) as date) as last_day,
        sum(t.worth) as amount
    from told as t
    cross join (select "table" from source_columns where "table" = 'customers' group by "table") as given
    left join known as k on k.customer_id = t.customer_id
    where k.customer_id is null
    group by t."table", t.customer_id
),
placed as (
    select
        *, count(*) over () as found,
        rank() over (order by abs(coalesce(amount, 0)) desc, "rows" desc, "table", customer_id) as place
    from unknown
),
listed as (
    select *, bare_id(customer_id) as bare from placed where place <= 1000
),
alike as (                                           -- a hint only where it can mean one customer
    select bare, min(customer_id) as customer_id
    from (select bare_id(customer_id) as bare, customer_id from known) as k
    where bare in (select bare from listed)
    group by bare
    having count(*) = 1
)
select cast(l.place as bigint) as place, l."table", l.customer_id, l."rows", l.first_day, l.last_day, l.amount, a.customer_id as nearest, l.found
from listed as l
left join alike as a on a.bare = l.bare
order by 1
