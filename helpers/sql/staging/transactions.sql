-- one row per row read of transactions: as judged, with an id and the number of its line; the second with a key is rejected
{%- set ordered = [
    "transacted_at", "customer_id", "amount", "type", "status", "item_type", "product_id", "product_name", "category",
    "quantity", "unit_price", "discount", "tax", "currency", "subscription_id", "original_transaction_id",
    "service_start", "service_end"] | reject("in", empty) | join(", ") %}
{%- set columns -%}
    n.file, n.line{% for column in table.columns if column not in empty and column not in table.key %}, n.{{ column }}{% endfor %},
        n.transaction_id, n.line_no, n.nobodys, n.stage, n.rule, n.rule_column, n.rule_value
{%- endset %}
with numbered as (
    select
        {{ columns }},
        -- lines without a number are numbered by all other columns, never by the order of the file
        case when n.line_no is null then row_number() over (
            partition by n.transaction_id, n.line_no is null order by {{ ordered }}, file, line
        ) + coalesce(max(n.line_no) over (partition by n.transaction_id), 0) else n.line_no end as nth,
        case when n.line_no is not null then row_number() over (
            partition by n.transaction_id, n.line_no order by {{ ordered }}, file, line
        ) else 1 end as copy
    from named_transactions as n
    inner join shared_ids as s on s.transaction_id = n.transaction_id
    where n.stage = 'kept'
),
opened as (                                          -- one sale of each transaction stands for it, so that orders add up
    select
        *,
        min(case when copy = 1 and type = 'sale' and status = 'paid' then nth end) over (partition by transaction_id) as opening
    from numbered
    union all
    select
        {{ columns }},
        coalesce(n.line_no, 1), 1, coalesce(n.line_no, 1)
    from named_transactions as n
    left join shared_ids as s on s.transaction_id = n.transaction_id
    where n.stage <> 'kept' or s.transaction_id is null
)
select
    file, line{% for column in table.columns if column not in empty and column not in table.key %}, {{ column }}{% endfor %},
    case when nobodys then concat(transaction_id, ' no. ', cast(nth as varchar)) else transaction_id end as transaction_id,
    cast(case when nobodys then 1 else nth end as integer) as line_no,
    type = 'sale' and status = 'paid' and copy = 1 and (nobodys or nth = opening) and stage = 'kept' as opens_order,
    case when copy > 1 then 'rejected' else stage end as stage,
    case when copy > 1 then 'key stands twice' else rule end as rule,
    case when copy > 1 then 'transaction_id, line_no' else rule_column end as rule_column,
    case when copy > 1 then transaction_id else rule_value end as rule_value
from opened
