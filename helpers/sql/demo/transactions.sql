-- one row per line, as text: the sales, what follows from them, and the rows that a real file has too
with strays as (                                         -- guests, rows after the last month, unreadable ones
    select
        printf('O-guest-%02d', month_no) as transaction_id, null as customer_id,
        cast(starts_at + to_hours(cast(200 + 7 * month_no as integer)) as varchar) as transacted_at, '49.00' as amount
    from months
    where month_no < 12
    union all
    select
        printf('O-late-%02d', day), printf('C-%05d', 1 + day % customers),
        cast(as_of + to_days(cast(day as integer)) as varchar), '75.00'
    from settings cross join (select unnest(range(8)) as day)
    union all
    select transaction_id, 'C-00001', coalesce(bad_date, cast(starts_at as varchar)), amount
    from (values
        ('O-dirty-01', '2024-02-30 10:15:00', '49.00'),
        ('O-dirty-02', '2024-13-05 09:00:00', '49.00'),
        ('O-dirty-03', 'unknown', '49.00'),
        ('O-dirty-04', null, 'n/a'),
        ('O-dirty-05', null, 'n/a')
    ) as dirty (transaction_id, bad_date, amount)
    cross join (select max(starts_at) as starts_at from months)
),
lines as (
    select
        transaction_id, line_no, customer_id, cast(transacted_at as varchar) as transacted_at,
        cast(amount as varchar) as amount, 'sale' as type, 'paid' as status, item_type, product_id, quantity, unit_price, discount,
        cast(amount * tax_percent * 0.01 as decimal(18, 2)) as tax, currency,
        null as original_transaction_id, subscription_id, service_start, service_end
    from sales cross join settings
    where transacted_at < as_of
    union all
    select
        'R-' || transaction_id, line_no, customer_id, cast(followed_at as varchar),
        cast(-amount as varchar), 'refund', 'paid', item_type, product_id, -quantity, unit_price, -discount,
        cast(-amount * tax_percent * 0.01 as decimal(18, 2)), currency,
        transaction_id, subscription_id, null, null
    from sales cross join settings
    where follow_draw < 150 and followed_at < as_of
    union all
    select                                               -- goodwill: a tenth is given back
        'J-' || transaction_id, line_no, customer_id, cast(followed_at as varchar),
        cast(cast(-amount * 0.1 as decimal(18, 2)) as varchar), 'adjustment', 'paid', item_type, product_id, null, null, null,
        null, currency,
        transaction_id, subscription_id, null, null
    from sales cross join settings
    where follow_draw >= 9990 and followed_at < as_of
    union all
    select
        'F-' || transaction_id, line_no, customer_id, cast(service_start as varchar),
        cast(amount as varchar), 'sale', 'failed', item_type, product_id, quantity, unit_price, discount,
        cast(amount * tax_percent * 0.01 as decimal(18, 2)), currency,
        null, subscription_id, service_start, service_end
    from sales
    where is_retried
    union all
    select                                               -- the payment whose failure ended the subscription
        'F-' || subscription_id, 1, customer_id, cast(ended_at as varchar),
        cast(unit_amount * quantity as varchar), 'sale', 'failed', 'subscription', plan_id, quantity, unit_amount, 0,
        null, currency,
        null, subscription_id, null, null
    from subscriptions
    where churn_kind = 'involuntary' and coalesce(discount_amount, 0) < unit_amount * quantity
    union all
    select
        transaction_id, 1, customer_id, transacted_at,
        amount, 'sale', 'paid', 'one_off', 'report-market', 1, 49, 0,
        null, 'USD',
        null, null, null, null
    from strays
)
select
    transaction_id, line_no, customer_id, transacted_at, amount, lines.type, status, lines.product_id, product_name,
    kind as category, item_type, quantity, unit_price, discount, tax, currency, original_transaction_id, subscription_id,
    service_start, service_end
from lines
left join (
    select product_id, product_name, kind from products union all select plan_id, plan_name, 'tier' from tiers
) as products using (product_id)
order by transaction_id, line_no
