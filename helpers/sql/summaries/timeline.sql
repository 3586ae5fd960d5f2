-- one row per table in the timeline: its kept rows that name a customer, and how many of them the timeline tells
with kept as (
    select 'transactions' as "table", count(*) as "rows" from staged_transactions where stage = 'kept' and customer_id is not null
    union all select 'subscriptions', count(*) from staged_subscriptions where stage = 'kept'
    union all select 'addons', count(started_at) from staged_addons where stage = 'kept'
    union all select 'touches', count(*) from staged_touches where stage = 'kept'
    union all select 'support_tickets', count(*) from staged_support_tickets where stage = 'kept'
    union all select 'feedback', count(coalesce(answered_at, asked_at)) from staged_feedback where stage = 'kept'
),
told as (
    select "table", count(*) as "rows" from mart_customer_timeline where opens group by "table"
)
select k."table", k."rows", coalesce(t."rows", 0) as told
from kept as k
left join told as t on t."table" = k."table"
order by 1
