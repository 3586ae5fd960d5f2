-- one row per subscription; a change of plan ends one and starts the next at the same instant
select
    printf('S-%05d-%d', customer_no, row_no) as subscription_id,
    printf('C-%05d', customer_no) as customer_id,
    plan_id,
    unit_amount,
    if(period_months = 1, 'month', 'year') as "interval",
    started_at,
    ended_at,
    discount_amount,
    discount_ends_at,
    trial_ended_at,
    canceled_at,
    cancel_reason,
    churn_kind,
    paused_at,
    resumed_at,
    if(ended_at is null, next_at, null) as current_period_end
from terms
join tiers using (tier)
order by subscription_id
