-- one row per kept transaction line; revenue is what counts (a failed payment does not), bought marks sales for RFM and models
with orders as (                                     -- only where refunds are told of the order that they give back
    select
        transaction_id, min(transacted_at) as ordered_at,
        sum(case when type = 'sale' and status = 'paid' then amount else 0 end) as sold
    from staged_transactions
    where stage = 'kept' and transaction_id in (select original_transaction_id from staged_transactions where type = 'refund')
    group by transaction_id
),
returned as (
    select
        original_transaction_id as transaction_id, sum(amount) as refunded, max(cast(transacted_at as date)) as last_day
    from staged_transactions
    where stage = 'kept' and type = 'refund' and status = 'paid'
    group by original_transaction_id
),
voids as (                                           -- given back whole and soon: the order counts as if it had not been
    select o.transaction_id
    from orders as o
    cross join run
    inner join returned as r on r.transaction_id = o.transaction_id
    where o.sold > 0 and r.refunded = -o.sold and r.last_day <= cast(o.ordered_at as date) + run.void_days
),
dated as (
    select
        t.*,
        case
            when run.refunds_on = 'order_date' and t.type = 'refund' then coalesce(o.ordered_at, t.transacted_at)
            else t.transacted_at
        end as counted_at,
        cast(case when t.status = 'paid' then t.amount + case when run.tax = 'included' then coalesce(t.tax, 0) else 0 end else 0 end
            as decimal(18, 4)) as revenue,
        v.transaction_id is not null as void,
        run.has_subscriptions
    from staged_transactions as t
    cross join run
    left join orders as o on o.transaction_id = t.original_transaction_id
    left join voids as v on v.transaction_id = case when t.type = 'sale' then t.transaction_id else t.original_transaction_id end
    where t.stage = 'kept'
)
select
    transaction_id, line_no, customer_id, transacted_at, cast(counted_at as date) as day,
    cast(month_of(counted_at) as integer) as month,
    amount, type, status, product_id, product_name, category, item_type, quantity, unit_price, discount, tax, currency,
    original_transaction_id, subscription_id, service_start, service_end, revenue,
    type = 'sale' and status = 'paid' and not void as sale,
    -- subscription invoices are no choice to buy again; a book of subscriptions has to say which lines they are
    status = 'paid' and customer_id is not null and type <> 'adjustment' and not void
        and coalesce(item_type <> 'subscription', not has_subscriptions) as bought
from dated
