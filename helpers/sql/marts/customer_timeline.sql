-- one row per customer and thing that happened before as_of; opens: the one that stands for its row of the table
select
    customer_id, transacted_at as happened_at, 'transactions' as "table",
    case when status = 'failed' then 'payment failed' else type end as what,
    concat(transaction_id, case when line_no > 1 then concat(', line ', cast(line_no as varchar)) else '' end) as id,
    coalesce(product_id, category, item_type) as detail, amount, true as opens
from mart_transactions
where customer_id is not null
union all
select
    customer_id, valid_from, 'subscriptions', case
        when not opens then 'list price changed' when valid_from = started_at then 'plan started' else 'plan changed'
    end,
    subscription_id, plan_id, cast(null as decimal(18, 4)), opens
from mart_subscriptions
{%- if policy.mrr_source == "invoices" %}               -- which are told as transactions; so is what begins with them
where valid_from = started_at
union all
select customer_id, valid_from, 'subscriptions', 'plan on record', subscription_id, plan_id, null, true
from staged_subscriptions
where stage = 'kept'
{%- endif %}
union all
select customer_id, paused_at, 'subscriptions', 'plan paused', subscription_id, plan_id, null, false
from mart_subscriptions
where is_last and paused_at is not null
union all
select customer_id, resumed_at, 'subscriptions', 'plan resumed', subscription_id, plan_id, null, false
from mart_subscriptions
where is_last and resumed_at is not null
union all
select s.customer_id, s.ended_at, 'subscriptions', 'plan ended', s.subscription_id, s.plan_id, null, false
from mart_subscriptions as s
cross join run
where s.is_last and s.ended_at < run.as_of
union all                                            -- past due beyond the days of grace
select s.customer_id, s.paid_until, 'subscriptions', 'plan lapsed', s.subscription_id, s.plan_id, null, false
from mart_subscriptions as s
cross join run
where s.is_last and s.pays and s.past_due_since is not null and s.paid_until < run.as_of and coalesce(s.paid_until < s.ended_at, true)
union all
select customer_id, started_at, 'addons', 'add-on started', addon_id, addon_id, null, true from mart_addons where started_at is not null
union all
select customer_id, ended_at, 'addons', 'add-on ended', addon_id, addon_id, null, false from mart_addons where ended_at is not null
union all
select customer_id, touched_at, 'touches', case when holdout then 'held out' else 'touched' end, touch_id, programme, null, true
from mart_touches
union all
select customer_id, opened_at, 'support_tickets', 'ticket opened', ticket_id, topic, null, true from mart_support_tickets
union all
select customer_id, solved_at, 'support_tickets', 'ticket solved', ticket_id, topic, null, false
from mart_support_tickets
where solved_at is not null
union all
select
    customer_id, coalesce(answered_at, asked_at), 'feedback', case when answered_at is null then 'survey asked' else 'survey answered' end,
    feedback_id, kind, null, true
from mart_feedback
where coalesce(answered_at, asked_at) is not null
