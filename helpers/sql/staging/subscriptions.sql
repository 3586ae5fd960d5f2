-- one row per row read: typed, with the stage it ends in and, where rejected, the rule, column and value
with typed as (
    select
        raw.file, raw.line, raw.subscription_id, as_id(raw.customer_id) as customer_id, raw.plan_id,
        lower(raw.interval) as billing, upper(raw.currency) as currency,
        lower(raw.status) as status, raw.contract, raw.cancel_reason, lower(raw.churn_kind) as churn_kind,
        try_cast(raw.unit_amount as decimal(18, 8)) as unit_amount,
        try_cast(coalesce(raw.interval_count, '1') as integer) as interval_count,
        try_cast(coalesce(raw.quantity, '1') as decimal(18, 4)) as quantity,
        try_cast(coalesce(raw.discount_amount, '0') as decimal(18, 4)) as discount_amount,
        as_time(raw.started_at, raw.zone, run.report_zone) as started_at,
        as_time(raw.ended_at, raw.zone, run.report_zone) as ended_at,
        as_time(raw.discount_ends_at, raw.zone, run.report_zone) as discount_ends_at,
        as_time(raw.trial_ended_at, raw.zone, run.report_zone) as trial_ended_at,
        as_time(raw.canceled_at, raw.zone, run.report_zone) as canceled_at,
        as_time(raw.past_due_since, raw.zone, run.report_zone) as past_due_since,
        as_time(raw.paused_at, raw.zone, run.report_zone) as paused_at,
        as_time(raw.resumed_at, raw.zone, run.report_zone) as resumed_at,
        as_time(raw.current_period_end, raw.zone, run.report_zone) as current_period_end,
        as_time(raw.valid_from, raw.zone, run.report_zone) as valid_from,
        as_time(raw.valid_to, raw.zone, run.report_zone) as valid_to,
        raw.started_at as written_started, raw.ended_at as written_ended, raw.unit_amount as written_amount,
        raw.discount_ends_at as written_discount_ends, raw.trial_ended_at as written_trial,
        raw.canceled_at as written_canceled, raw.past_due_since as written_past_due, raw.paused_at as written_paused,
        raw.resumed_at as written_resumed, raw.valid_from as written_valid_from, raw.valid_to as written_valid_to,
        raw.interval_count as written_count, raw.quantity as written_quantity, raw.discount_amount as written_discount,
        run.as_of, run.currency as report_currency
    from raw_subscriptions as raw cross join run
),
judged as (
    select
        *,
        case
            when subscription_id is null then 'subscription_id'
            when customer_id is null then 'customer_id'
            when plan_id is null then 'plan_id'
            when billing is null or misfit(billing, 'day week month year') then 'interval'
            when unit_amount is null or unit_amount < 0 then 'unit_amount'
            when started_at is null or started_at < timestamp '1970-01-01 00:00:00' then 'started_at'
            when unread(written_ended, ended_at) or ended_at < started_at then 'ended_at'
            when interval_count is null or interval_count < 1 then 'interval_count'
            when quantity is null or quantity < 0 then 'quantity'
            when discount_amount is null then 'discount_amount'
            when unread(written_discount_ends, discount_ends_at) then 'discount_ends_at'
            when unread(written_trial, trial_ended_at) then 'trial_ended_at'
            when unread(written_canceled, canceled_at) then 'canceled_at'
            when unread(written_past_due, past_due_since) then 'past_due_since'
            when unread(written_paused, paused_at) then 'paused_at'
            when unread(written_resumed, resumed_at) then 'resumed_at'
            when unread(written_valid_from, valid_from) then 'valid_from'
            when unread(written_valid_to, valid_to) then 'valid_to'
            when misfit(churn_kind, 'voluntary involuntary') then 'churn_kind'
            when currency <> report_currency then 'currency'
        end as bad_column
    from typed
),
keyed as (
    select
        *,
        case bad_column
            when 'interval' then billing when 'unit_amount' then written_amount when 'started_at' then written_started
            when 'ended_at' then written_ended when 'interval_count' then written_count when 'quantity' then written_quantity
            when 'discount_amount' then written_discount when 'discount_ends_at' then written_discount_ends
            when 'trial_ended_at' then written_trial when 'canceled_at' then written_canceled
            when 'past_due_since' then written_past_due when 'paused_at' then written_paused
            when 'resumed_at' then written_resumed when 'valid_from' then written_valid_from
            when 'valid_to' then written_valid_to when 'churn_kind' then churn_kind when 'currency' then currency
        end as bad_value,
        row_number() over (
            partition by subscription_id, coalesce(valid_from, started_at), bad_column is null, started_at < as_of
            order by started_at, ended_at, unit_amount, plan_id, file, line
        ) as copy
    from judged
)
select
    file, line, subscription_id, customer_id, plan_id, unit_amount, billing, interval_count, quantity,
    discount_amount, discount_ends_at, coalesce(currency, report_currency) as currency, contract,
    case when ended_at is null or ended_at < as_of or canceled_at < as_of then status end as status,
    started_at, trial_ended_at,
    -- what is dated at or after as_of is not known yet, but for ends that were announced before it
    case when ended_at < as_of or canceled_at < as_of then ended_at end as ended_at,
    case when canceled_at < as_of then canceled_at end as canceled_at,
    case when canceled_at < as_of or ended_at < as_of then cancel_reason end as cancel_reason,
    case when ended_at < as_of then churn_kind end as churn_kind,
    case when past_due_since < as_of then past_due_since end as past_due_since,
    case when paused_at < as_of then paused_at end as paused_at,
    case when resumed_at < as_of then resumed_at end as resumed_at,
    current_period_end,
    coalesce(valid_from, started_at) as valid_from,
    case when valid_to < as_of then valid_to end as valid_to,
    unit_amount as amount,
    case
        when greatest(valid_from, started_at) >= as_of then 'after_as_of'
        when bad_column is not null or copy > 1 then 'rejected' else 'kept'
    end as stage,
    case
        when greatest(valid_from, started_at) >= as_of then null
        when bad_column is null and copy > 1 then 'key stands twice'
        when bad_column = 'currency' then 'other currency than the report'
        when bad_column = 'ended_at' and ended_at < started_at then 'ends before it starts'
        when bad_column = 'unit_amount' and unit_amount < 0 then 'below zero'
        when bad_column = 'started_at' and started_at is not null then 'before 1970'
        when bad_column in ('interval', 'churn_kind') and bad_value is not null then 'not an accepted value'
        when bad_column is not null and bad_value is null then 'empty'
        when bad_column is not null then 'cannot be read'
    end as rule,
    case when bad_column is null and copy > 1 then 'subscription_id, valid_from' else bad_column end as rule_column,
    case when bad_column is null and copy > 1 then subscription_id else bad_value end as rule_value
from keyed
