-- one row per kept line of a transaction with several: its number, which of several with that number it is, the first sale
{%- set ordered = [
    "transacted_at", "customer_id", "amount", "type", "status", "item_type", "product_id", "product_name", "category",
    "quantity", "unit_price", "discount", "tax", "currency", "subscription_id", "original_transaction_id",
    "service_start", "service_end"] | reject("in", empty) | list + table.dimensions | reject("in", empty) | list %}
with numbered as (
    select
        n.*,
        -- lines without a number are numbered by all other columns, never by the order of the file
        case when n.line_no is null then row_number() over (
            partition by n.transaction_id, n.line_no is null order by "{{ ordered | join('", "') }}", file, line
        ) + coalesce(max(n.line_no) over (partition by n.transaction_id), 0) else n.line_no end as nth,
        case when n.line_no is not null then row_number() over (
            partition by n.transaction_id, n.line_no order by "{{ ordered | join('", "') }}", file, line
        ) else 1 end as copy,
        -- 1 for what is equal to the first copy
        rank() over (partition by n.transaction_id, n.line_no order by "{{ ordered | join('", "') }}") as ranked
    from named_transactions as n
    inner join shared_ids as s on s.transaction_id = n.transaction_id
    where n.stage = 'kept'
)
select
    *, min(case when copy = 1 and type = 'sale' and status = 'paid' then nth end) over (partition by transaction_id) as first_sale
from numbered
