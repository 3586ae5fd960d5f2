-- one row per table in the timeline: its kept rows that name a customer, and how many of them the timeline tells
with kept as (
    select 'transactions' as "table", count(customer_id) as "rows" from mart_transactions
    union all select 'subscriptions', count(*) from mart_subscriptions
    union all select 'addons', count(started_at) from mart_addons
    union all select 'touches', count(*) from mart_touches
    union all select 'support_tickets', count(*) from mart_support_tickets
    union all select 'feedback', count(coalesce(answered_at, asked_at)) from mart_feedback
),
told as (
    select "table", count(*) as "rows" from mart_customer_timeline where opens group by "table"
)
select k."table", k."rows", coalesce(t."rows", 0) as told
from kept as k
left join told as t on t."table" = k."table"
order by 1
