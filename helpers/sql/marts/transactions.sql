-- one row per kept transaction line; revenue is what counts (a failed payment does not), bought marks sales for RFM and models
select
    transaction_id, line_no, customer_id, transacted_at, cast(transacted_at as date) as day,
    cast(month_of(transacted_at) as integer) as month,
    amount, type, status, product_id, product_name, category, item_type, quantity, unit_price, discount, tax,
    original_transaction_id, subscription_id, service_start, service_end, file, line,
    cast(case when status = 'paid' then amount else 0 end as decimal(18, 4)) as revenue,
    type = 'sale' and status = 'paid' as sale,
    -- subscription invoices are no choice to buy again; a book of subscriptions has to say which lines they are
    status = 'paid' and customer_id is not null and type <> 'adjustment'
        and coalesce(item_type <> 'subscription', not run.has_subscriptions) as bought
from staged_transactions cross join run
where stage = 'kept'
