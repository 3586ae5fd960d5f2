-- one row per subscription, as it stands in the export: what it was before is not known
{%- set stripe = not minor %}
select
    e.file_row_number as line, e.misread, e.misread_value, e.subscription_id, e.customer_id, e.plan_id, e.quantity, e.currency,
    lower(e.interval) as interval, e.interval_count, e.started_at,
    {%- if stripe %}
    -- whose first payment never came has paid nothing
    case when lower(e.status) in ('incomplete', 'incomplete_expired') then 0 else e.unit_amount end as unit_amount,
    e.status, e.current_period_end, e.trial_ended_at, e.canceled_at,
    -- asked to leave, and still there: it ends with the period that is paid
    coalesce(e.ended_at, case
        when e.canceled_at is not null and lower(e.status) in ('active', 'trialing', 'past_due') then e.current_period_end
    end) as ended_at
    {%- else %}
    cast(round(e.unit_amount / smallest_units(e.currency), 8) as decimal(18, 8)) as unit_amount, e.ended_at
    {%- endif %}
    {%- for column in own %},
    e."{{ column }}"
    {%- endfor %}
from {{ rows }} as e
