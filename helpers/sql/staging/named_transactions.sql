-- one row per row read of transactions: as judged, with an id where the file has none
select
    * exclude (transaction_id),
    -- one transaction a customer and instant; nobody's rows are a transaction each
    coalesce(transaction_id, concat(
        coalesce(customer_id, concat(file, ', line ', cast(line as varchar))), '@', cast(transacted_at as varchar)
    )) as transaction_id
from judged_transactions
