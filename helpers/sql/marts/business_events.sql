-- one row per business event as it was listed: the day, what happened, its kind and the plan that it concerns
select
    cast(happened_at as date) as date, label, file, line, cast(month_of(happened_at) as integer) as month, kind, plan_id
from staged_business_events
where stage = 'kept'
