-- one row per line that a customer is to pay: subscription invoices, addon invoices and orders
with invoices as (
    select
        printf('I-%05d-%d-%03d', customer_no, spell, age) as transaction_id,
        customer_id,
        billed_at,
        if(is_trial, 0.5, 1.0) as part,                  -- half the first month was free
        unit_amount * part as unit_price,
        quantity,
        cast(unit_amount * quantity * coalesce(off_percent, 0) * 0.01 as decimal(18, 2)) * part as discount,
        plan_id as product_id,
        printf('S-%05d-%d', customer_no, row_no) as subscription_id,
        ends_at as service_end,
        is_retried,
        currency,
        tax_percent
    from periods
    join customers using (customer_no)
    join tiers using (tier)
    where not is_paused and not is_internal
),
addon_months as (
    select *, unnest(range(1 + date_diff('month', started_at, coalesce(ended_at, as_of)))) as age
    from addons
    cross join settings
),
lines as (
    select
        transaction_id, 1 as line_no, customer_id, if(is_retried, billed_at + to_days(5), billed_at) as transacted_at,
        cast(unit_price * quantity - discount as decimal(18, 2)) as amount,
        'subscription' as item_type, product_id, quantity, unit_price, discount, subscription_id,
        billed_at as service_start, service_end, is_retried, currency, tax_percent
    from invoices
    union all
    select
        printf('A%s-%s-%03d', substr(customer_id, 2), substr(addon_id, 7), age), 1, customer_id,
        started_at + to_months(cast(age as integer)), amount,
        case when age = 0 then 'addon' else 'subscription' end,  -- what follows is a renewal, not a choice to buy again
        addon_id, 1, amount, 0, null, null, null, false, currency, tax_percent
    from addon_months
    where started_at + to_months(cast(age as integer)) < coalesce(ended_at, as_of)
    union all
    select
        transaction_id, line_no, customer_id, transacted_at, amount, item_type, product_id, 1, amount, 0,
        null, null, null, false, currency, tax_percent
    from orders
)
select
    drawn.* exclude (ink),
    cast('0x' || substr(ink, 1, 8) as bigint) % 10000 as follow_draw,
    transacted_at + to_days(cast(1 + cast('0x' || substr(ink, 9, 8) as bigint) % 20 as integer)) as followed_at,
    cast(amount * coalesce(rate, 1) as decimal(18, 4)) as usd        -- at the last rate on or before the day
from (
    select lines.*, md5(concat_ws(':', seed, transaction_id, line_no, 'follow')) as ink
    from lines
    cross join settings
    where coalesce(service_start, transacted_at) < as_of  -- a failed invoice may be paid only after as_of
) as drawn
left join fx_rates
    on currency = from_currency and date = cast(date_trunc('month', transacted_at + to_days(1)) as date) - 1
