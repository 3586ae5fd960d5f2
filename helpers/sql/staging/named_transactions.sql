-- one row per row read of transactions: as judged, with an id where the file has none, without the columns that it leaves empty
select
    file, line{% for column in table.columns if column not in empty and column not in table.key %}, {{ column }}{% endfor %},
    -- one transaction a customer and instant; nobody's rows are a transaction each
    coalesce(transaction_id, concat(
        coalesce(customer_id, concat(file, ', line ', cast(line as varchar))), '@', cast(transacted_at as varchar)
    )) as transaction_id,
    line_no, stage, rule, rule_column, rule_value
from judged_transactions
