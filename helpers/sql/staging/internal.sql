-- one row per customer who is our own: a test account or a colleague
select customer_id from staged_customers where stage = 'kept' and is_internal
