-- one row per line that a customer is to pay: subscription invoices, addon invoices and orders
with invoices as (
    select
        printf('I-%05d-%d-%03d', customer_no, spell, age) as transaction_id,
        printf('C-%05d', customer_no) as customer_id,
        if(age = 0, coalesce(trial_ended_at, periods.starts_at), periods.starts_at) as billed_at,
        (unit_amount - if(periods.starts_at < discount_ends_at, discount_amount, 0))
        * if(age = 0 and trial_ended_at is not null, 0.5, 1.0) as amount,    -- half the first month was free
        plan_id as product_id,
        printf('S-%05d-%d', customer_no, row_no) as subscription_id,
        periods.ends_at as service_end
    from periods
    join terms using (customer_no, row_no, spell, tier, period_months)
    join tiers using (tier)
    where paused_at is null or periods.starts_at < paused_at or periods.starts_at >= resumed_at
),
tried as (
    select
        *,
        cast('0x' || substr(md5(concat_ws(':', seed, transaction_id, 'try')), 1, 8) as bigint) % 10000 < 100
            as is_retried
    from invoices
    cross join settings
),
addon_months as (
    select *, unnest(range(1 + date_diff('month', started_at, coalesce(ended_at, as_of)))) as age
    from addons
    cross join settings
),
lines as (
    select
        transaction_id, 1 as line_no, customer_id, if(is_retried, billed_at + to_days(3), billed_at) as transacted_at,
        cast(amount as decimal(18, 2)) as amount, 'subscription' as item_type, product_id, subscription_id,
        billed_at as service_start, service_end, is_retried
    from tried
    union all
    select
        printf('A%s-%s-%03d', substr(customer_id, 2), substr(addon_id, 7), age), 1, customer_id,
        started_at + to_months(cast(age as integer)), amount,
        case when age = 0 then 'addon' else 'subscription' end,  -- what follows is a renewal, not a choice to buy again
        addon_id, null, null, null, false
    from addon_months
    where started_at + to_months(cast(age as integer)) < coalesce(ended_at, as_of)
    union all
    select transaction_id, line_no, customer_id, transacted_at, amount, item_type, product_id, null, null, null, false
    from orders
)
select
    * exclude (ink),
    cast('0x' || substr(ink, 1, 8) as bigint) % 10000 as follow_draw,
    transacted_at + to_days(cast(1 + cast('0x' || substr(ink, 9, 8) as bigint) % 20 as integer)) as followed_at
from (
    select lines.*, as_of, md5(concat_ws(':', seed, transaction_id, line_no, 'follow')) as ink
    from lines
    cross join settings
    where coalesce(service_start, transacted_at) < as_of  -- a failed invoice may be paid only after as_of
)
