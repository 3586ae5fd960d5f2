-- one row per payment, and one per payment of which money was given back
{%- macro of(column, sql) %}{% if column in own %}e."{{ column }}"{% else %}{{ sql }} as "{{ column }}"{% endif %}{% endmacro %}
{%- set state %}case
        when lower(e.status) in ('failed', 'blocked', 'canceled', 'expired', 'incomplete', 'uncaptured', 'requires_payment_method') then 'failed'
        when e.captured is not null and not e.captured then 'failed'
        when lower(e.status) in ('paid', 'succeeded', 'refunded', 'partially refunded', 'partially_refunded', 'partial refund', 'disputed') then 'paid'
        else e.status
    end{% endset %}
{%- if minor %}{% set test = "e.live is not null and not e.live" %}{% else %}{% set test = "lower(e.mode) <> 'live'" %}{% endif %}
with units as (
    select
        *,
        {% if minor %}smallest_units(currency){% else %}1{% endif %} as parts
    from {{ rows }}
),
written as (
    select
        e.*,
        cast(round(e.amount / e.parts, 4) as decimal(18, 4)) as paid_amount,
        cast(round(e.refunded / e.parts, 4) as decimal(18, 4)) as given_back,
        coalesce(e.customer_id, e.customer_email) as payer,
        case when {{ test }} then 'test payment' else {{ state }} end as state
    from units as e
)
select
    e.file_row_number as line, e.misread, e.misread_value, e.transaction_id, 1 as line_no, e.payer as customer_id, e.transacted_at,
    e.paid_amount as amount, {{ of("type", "cast(null as varchar)") }}, e.state as status, e.currency, e.product_name,
    cast(null as varchar) as original_transaction_id
    {%- for column in own if column != "type" %},
    e."{{ column }}"
    {%- endfor %}
from written as e
union all
select
    e.file_row_number, e.misread, e.misread_value, e.transaction_id, 2, e.payer, coalesce(e.refunded_at, e.transacted_at),
    -e.given_back, 'refund', e.state, e.currency, e.product_name, e.transaction_id
    {%- for column in own if column != "type" %},
    e."{{ column }}"
    {%- endfor %}
from written as e
where e.given_back > 0 and e.misread is null
