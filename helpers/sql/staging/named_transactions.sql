-- one row per row read of transactions: as judged, with an id where the file has none, without the columns that it leaves empty
select
    file, line{% for column in table.columns if column not in empty and column not in table.key %}, "{{ column }}"{% endfor %},
    -- one transaction a customer and instant; nobody's rows are a transaction each, and get the rest of their id with their number
    coalesce(transaction_id, concat(customer_id, '@', cast(transacted_at as varchar))) as transaction_id,
    case when transaction_id is not null or customer_id is not null then line_no end as line_no,
    transaction_id is null and customer_id is null as nobodys,
    stage, rule, rule_column, rule_value
from judged_transactions
