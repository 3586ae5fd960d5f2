-- one row per line of an order, and one per order of which money was given back
{%- macro of(column, sql) %}{% if column in own %}e."{{ column }}"{% else %}{{ sql }} as "{{ column }}"{% endif %}{% endmacro %}
{%- set header = ["customer_id", "created_at", "paid_at", "status", "currency", "subtotal", "shipping", "taxes", "total", "refunded"] %}
{%- set computed = ("amount", "type", "tax", "discount", "line_no", "transacted_at", "original_transaction_id") %}
{%- set rest = own | reject("in", computed) | list %}
{%- set of_order = "over (partition by e.order_key)" %}
with e as (
    select
        *, file_row_number as line,
        coalesce(transaction_id, concat('line ', cast(file_row_number as varchar))) as order_key,
        cast(quantity as decimal(20, 4)) * unit_price as price
    from {{ rows }}
),
placed as (                                          -- what stands on an order's first row alone holds for all of its rows
    select
        e.line, e.order_key, e.transaction_id, e.quantity, e.unit_price, e.product_id, e.product_name, e.price
        {%- for column in own if column in computed %}, e."{{ column }}"{% endfor %},
        e.misread, e.misread_value, max(case when e.misread is not null then concat(e.misread, '|', e.misread_value) end) {{ of_order }} as told,
        case when abs(e.price) < 1000000000000 then cast(round(e.price, 4) as decimal(18, 4)) - coalesce(e.line_discount, 0) end as worth,
        row_number() over (partition by e.order_key order by e.line) as nth,
        count(*) {{ of_order }} as rows_of_order
        {%- for column in header + rest %},
        coalesce(e."{{ column }}", max(e."{{ column }}") {{ of_order }}) as "{{ column }}"
        {%- endfor %}
    from e
),
summed as (
    select
        *,
        sum(worth) over (partition by order_key order by line rows unbounded preceding) as worth_so_far,
        sum(worth) over (partition by order_key) as order_worth,
        count(worth) over (partition by order_key) = rows_of_order as whole,
        abs(total - subtotal - coalesce(shipping, 0)) < abs(total - subtotal - coalesce(shipping, 0) - taxes) as taxed_within
    from placed
),
taxed as (                                           -- of the taxes, the part on goods; Subtotal is after discounts, before shipping
    select
        *, case
            when taxes is null or subtotal = 0 or subtotal + coalesce(shipping, 0) = 0 then 0
            else try_cast(round(cast(taxes as double) * cast(subtotal as double) / cast(subtotal + coalesce(shipping, 0) as double), 4) as decimal(18, 4))
        end as goods_tax
    from summed
),
net as (
    select *, coalesce(subtotal - case when taxed_within then goods_tax else 0 end, order_worth) as goods from taxed
),
spread as (                                          -- of an order's goods and tax, what its lines have up to this one
    select
        *,
        case
            when nth = rows_of_order or order_worth = 0 then goods
            else try_cast(round(cast(goods as double) * cast(worth_so_far as double) / cast(order_worth as double), 4) as decimal(18, 4))
        end as goods_so_far,
        case
            when nth = rows_of_order or order_worth = 0 then goods_tax
            else try_cast(round(cast(goods_tax as double) * cast(worth_so_far as double) / cast(order_worth as double), 4) as decimal(18, 4))
        end as tax_so_far
    from net
),
parted as (
    select
        *,
        case when whole then goods_so_far - coalesce(lag(goods_so_far) over (partition by order_key order by line), 0) end as line_amount,
        tax_so_far - coalesce(lag(tax_so_far) over (partition by order_key order by line), 0) as line_tax,
        case
            when lower(status) in ('paid', 'partially_paid', 'refunded', 'partially_refunded') then 'paid'
            when lower(status) in ('pending', 'authorized', 'unpaid', 'voided', 'expired') then 'failed'
            else status
        end as state
    from spread
)
select
    e.line, coalesce(e.misread, split_part(e.told, '|', 1)) as misread, coalesce(e.misread_value, split_part(e.told, '|', 2)) as misread_value,
    e.transaction_id, e.customer_id, e.state as status, e.currency, e.product_id, e.product_name, e.quantity, e.unit_price,
    {{ of("line_no", "e.nth") }}, {{ of("transacted_at", "coalesce(e.paid_at, e.created_at)") }},
    {{ of("amount", "e.line_amount") }}, {{ of("tax", "e.line_tax") }},
    {{ of("discount", "cast(round(e.price, 4) as decimal(18, 4)) - e.line_amount - case when e.taxed_within then e.line_tax else 0 end") }},
    {{ of("type", "cast(null as varchar)") }}, {{ of("original_transaction_id", "cast(null as varchar)") }}
    {%- for column in rest %}, e."{{ column }}"{% endfor %}
from parted as e
union all
select
    e.line, null, null, e.transaction_id, e.customer_id, e.state, e.currency, null, null, null, null,
    e.rows_of_order + 1, {{ of("transacted_at", "coalesce(e.paid_at, e.created_at)") }},
    -case when e.refunded >= e.total then e.goods else cast(round(cast(e.refunded as double) * cast(e.goods as double) / cast(e.total as double), 4) as decimal(18, 4)) end,
    -case when e.refunded >= e.total then e.goods_tax else cast(round(cast(e.refunded as double) * cast(e.goods_tax as double) / cast(e.total as double), 4) as decimal(18, 4)) end,
    null, 'refund', e.transaction_id
    {%- for column in rest %}, e."{{ column }}"{% endfor %}
from parted as e
where e.nth = 1 and e.refunded > 0 and e.total > 0 and e.told is null and e.whole
