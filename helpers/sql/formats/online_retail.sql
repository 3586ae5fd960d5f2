-- one row per line of an invoice: what it is worth, and whether it sells, gives back or only sets accounts right
{%- macro of(column, sql) %}{% if column in own %}e."{{ column }}"{% else %}{{ sql }} as "{{ column }}"{% endif %}{% endmacro %}
{%- set kind %}case
        when upper(substring(e.transaction_id, 1, 1)) = 'A' then 'adjustment'                  -- bad debt
        when upper(e.product_id) in ('POST', 'DOT', 'C2', 'BANK CHARGES', 'AMAZONFEE', 'CRUK', 'B') then 'adjustment'
        when e.worth = 0 and (e.customer_id is null or e.quantity < 0) then 'adjustment'       -- stock that was lost or found
        when upper(substring(e.transaction_id, 1, 1)) = 'C' then 'refund'
    end{% endset %}
with lines as (
    select *, cast(quantity as decimal(20, 4)) * unit_price as worth from {{ rows }}
)
select
    e.file_row_number as line, e.misread, e.misread_value, e.transaction_id, e.customer_id, e.transacted_at,
    e.product_id, e.product_name, e.quantity, e.unit_price,
    -- beyond what money may be it stays too large
    {{ of("amount", "cast(case when abs(e.worth) < 10000000000000 then round(e.worth, 4) when e.worth is not null then 9999999999999 end as decimal(18, 4))") }},
    {{ of("type", kind) }}
    {%- for column in own if column not in ("amount", "type") %},
    e."{{ column }}"
    {%- endfor %}
from lines as e
