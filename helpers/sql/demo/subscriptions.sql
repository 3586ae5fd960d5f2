-- one row per subscription and version of its price; a change of plan ends one subscription and starts the next at once
with versions as (
    select
        customer_no,
        row_no,
        spell,
        tier,
        period_months,
        unit_amount,
        quantity,
        spell_at,
        discount_months,
        min(age) as age_from,
        max(age) as age_to,
        min(starts_at) as valid_from,
        max(ends_at) as next_at,
        bool_or(leaves) as leaves,
        max(off_percent) as off_percent,                 -- only first periods have one, whatever the version
        max(if(is_trial, billed_at, null)) as trial_at,
        max(billed_at) filter (
            where is_retried and not is_paused and billed_at < as_of and billed_at + to_days(5) >= as_of
        ) as past_due_since
    from periods cross join settings
    group by customer_no, row_no, spell, tier, period_months, unit_amount, quantity, spell_at, discount_months
),
drawn as (
    select
        versions.*,
        lead(row_no) over path is not distinct from row_no as is_repriced,
        lead(spell) over path is not distinct from spell as is_followed,
        min(valid_from) over subscription as started_at,
        min(age_from) over subscription as first_age,
        max(age_to) over subscription as last_age,
        max(next_at) over subscription as last_at,
        bool_or(leaves) over subscription as ends_in_leaving,
        max(trial_at) over subscription as trial_ended_at,
        cast('0x' || substr(ink, 9, 8) as bigint) % 10000 as kind_draw,
        cast('0x' || substr(ink, 17, 8) as bigint) as notice_draw,
        cast('0x' || substr(ink, 25, 8) as bigint) as reason_draw
    from (
        select versions.*, md5(concat_ws(':', seed, customer_no, 'terms', row_no)) as ink from versions cross join settings
    ) as versions
    window path as (partition by customer_no order by row_no, valid_from), subscription as (partition by customer_no, row_no)
),
ended as (
    select
        drawn.*,
        customer_id,
        currency,
        is_internal,
        as_of,
        if(spell = 1 and pause_from between first_age and last_age, spell_at + to_months(cast(pause_from as integer)), null)
            as pause_at,
        spell_at + to_months(cast(pause_to as integer)) as resume_at,
        leaves and kind_draw < involuntary as is_involuntary,
        case                                             -- notice comes after a trial, and at most 80 days ahead
            when is_involuntary then next_at
            when leaves then next_at - to_days(cast(notice_draw % if(drawn.period_months = 1, 15, 81) as integer))
        end as notice_at
    from drawn
    join customers using (customer_no)
    cross join (select involuntary from rates)
    cross join settings
)
select
    printf('S-%05d-%d', customer_no, row_no) as subscription_id,
    customer_id,
    plan_id,
    unit_amount,
    if(period_months = 1, 'month', 'year') as "interval",
    started_at,
    case when is_repriced then null when is_followed or notice_at < as_of then next_at end as ended_at,
    1 as interval_count,
    quantity,
    cast(unit_amount * quantity * cast(off_percent as decimal(3, 0)) * 0.01 as decimal(18, 2)) as discount_amount,
    if(off_percent is null or is_internal, null, spell_at + to_months(discount_months)) as discount_ends_at,
    currency,
    if(period_months = 1, 'monthly', 'annual') as contract,
    trial_ended_at,
    if(notice_at < as_of, notice_at, null) as canceled_at,
    case
        when notice_at < as_of and is_involuntary then 'payment_failed'
        when notice_at < as_of then
            ['too_expensive', 'missing_feature', 'no_longer_needed', 'switched', 'poor_service'][1 + reason_draw % 5]
    end as cancel_reason,
    case when notice_at < as_of then if(is_involuntary, 'involuntary', 'voluntary') end as churn_kind,
    past_due_since,
    if(pause_at < next_at and resume_at > valid_from, pause_at, null) as paused_at,
    if(resume_at < as_of and (not ends_in_leaving or resume_at < last_at), if(paused_at is null, null, resume_at), null)
        as resumed_at,
    if(ended_at is null and not is_repriced, next_at, null) as current_period_end,
    valid_from,
    if(is_repriced, next_at, null) as valid_to,
    case
        when ended_at < as_of then 'canceled' when trial_ended_at >= as_of then 'trialing'
        when past_due_since is not null then 'past_due' when paused_at is not null and resumed_at is null then 'paused'
        else 'active'
    end as status,
    customer_no,
    row_no
from ended
join tiers using (tier)
order by subscription_id, valid_from
