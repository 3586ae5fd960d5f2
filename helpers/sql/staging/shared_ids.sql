-- one row per transaction with several lines: only these need an order among their lines, and can clash
select transaction_id from named_transactions where stage = 'kept' group by transaction_id having count(*) > 1
