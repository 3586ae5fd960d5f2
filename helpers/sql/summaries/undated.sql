-- one row: subscriptions that are past due or unpaid by their status alone, and those of them with no day that says since when
select
    count(distinct s.subscription_id) as due,
    count(distinct case when s.current_period_end is null and s.valid_from = s.started_at then s.subscription_id end) as undated
from staged_subscriptions as s
where s.stage = 'kept' and s.past_due_since is null and lower(s.status) in ('past_due', 'unpaid')
