-- one row per kept transaction line; revenue is what counts (a failed payment does not), bought marks sales for RFM and models
with dated as (
    select
        t.*,
        case
            when run.refunds_on = 'order_date' and t.type = 'refund' then coalesce(o.ordered_at, t.transacted_at)
            else t.transacted_at
        end as counted_at,
        cast(case when t.status = 'paid' then t.amount + case when run.tax = 'included' then coalesce(t.tax, 0) else 0 end else 0 end
            as decimal(18, 4)) as revenue,
        coalesce(v.void, false) as void,
        run.has_subscriptions
    from staged_transactions as t
    cross join run
    left join refunds as o on o.transaction_id = t.original_transaction_id
    left join refunds as v on v.transaction_id = case when t.type = 'sale' then t.transaction_id else t.original_transaction_id end
    where t.stage = 'kept'
)
select
    transaction_id, line_no, customer_id, transacted_at, cast(counted_at as date) as day,
    cast(month_of(counted_at) as integer) as month,
    amount, type, status, product_id, product_name, category, item_type, quantity, unit_price, discount, tax, currency,
    original_transaction_id, subscription_id, service_start, service_end, revenue,
    type = 'sale' and status = 'paid' and not void as sale,
    opens_order and not void as opens_order,         -- one sale of each order, so that orders are counted once and add up
    -- subscription invoices are no choice to buy again; a book of subscriptions has to say which lines they are
    status = 'paid' and customer_id is not null and type <> 'adjustment' and not void
        and coalesce(item_type <> 'subscription', not has_subscriptions) as bought{% for name in table.dimensions %}, "{{ name }}"{% endfor %}
from dated
