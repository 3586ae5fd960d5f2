-- one row per row read of transactions: as judged, with an id and the number of its line; the second with a key is rejected
with numbered as (
    select
        n.*,
        -- lines without a number are numbered by all other columns, never by the order of the file
        case when n.line_no is null then row_number() over (
            partition by n.transaction_id, n.line_no is null
            order by
                n.transacted_at, n.customer_id, n.amount, n.type, n.status, n.item_type, n.product_id, n.product_name, n.category,
                n.quantity, n.unit_price, n.discount, n.tax, n.currency, n.subscription_id, n.original_transaction_id,
                n.service_start, n.service_end, n.file, n.line
        ) + coalesce(max(n.line_no) over (partition by n.transaction_id), 0) else n.line_no end as nth,
        case when n.line_no is not null then row_number() over (
            partition by n.transaction_id, n.line_no
            order by
                n.transacted_at, n.customer_id, n.amount, n.type, n.status, n.item_type, n.product_id, n.product_name, n.category,
                n.quantity, n.unit_price, n.discount, n.tax, n.currency, n.subscription_id, n.original_transaction_id,
                n.service_start, n.service_end, n.file, n.line
        ) else 1 end as copy
    from named_transactions as n
    inner join shared_ids as s on s.transaction_id = n.transaction_id
    where n.stage = 'kept'
    union all
    select n.*, coalesce(n.line_no, 1), 1
    from named_transactions as n
    left join shared_ids as s on s.transaction_id = n.transaction_id
    where n.stage <> 'kept' or s.transaction_id is null
)
select
    * exclude (line_no, nth, copy, stage, rule, rule_column, rule_value),
    cast(nth as integer) as line_no,
    case when copy > 1 then 'rejected' else stage end as stage,
    case when copy > 1 then 'key stands twice' else rule end as rule,
    case when copy > 1 then 'transaction_id, line_no' else rule_column end as rule_column,
    case when copy > 1 then transaction_id else rule_value end as rule_value
from numbered
