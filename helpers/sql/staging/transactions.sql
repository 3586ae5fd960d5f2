-- one row per row read of transactions: as judged, with the number of its line; the second with a key is rejected
{%- set columns -%}
    file, line{% for column in table.columns if column not in empty and column not in table.key %}, "{{ column }}"{% endfor %},
    transaction_id, nobodys, stage, rule, rule_column, rule_value
{%- endset %}
with numbered as (
    select {{ columns }}, nth, copy, ranked, first_sale from numbered_transactions
    union all
    select {{ columns }}, coalesce(line_no, 1), 1, 1, coalesce(line_no, 1)
    from named_transactions
    where stage <> 'kept' or transaction_id not in (select transaction_id from shared_ids)
)
select
    file, line{% for column, kind in table.columns.items() if column not in table.key %},
    {% if column in empty %}cast(null as {{ kind }}) as {% endif %}"{{ column }}"{% endfor %},
    case when nobodys then concat(transaction_id, ' no. ', cast(nth as varchar)) else transaction_id end as transaction_id,
    cast(case when nobodys then 1 else nth end as integer) as line_no,
    -- one sale of each transaction stands for it, so that orders add up
    stage = 'kept' and copy = 1 and (nobodys or nth = first_sale) and type = 'sale' and status = 'paid' as opens_order,
    {{ table.moment }} as moment, {{ table.moment }} as latest, case when currency = (select currency from run) then coalesce({{ table.worth }}, 0) else 0 end as worth,
    case when copy > 1 then 'rejected' else stage end as stage,
    case when copy = 1 then rule when ranked = 1 then 'repeated' else 'contradicts another row' end as rule,
    case when copy > 1 then 'transaction_id, line_no' else rule_column end as rule_column,
    case when copy > 1 then transaction_id else rule_value end as rule_value
from numbered
