-- one row: paid lines of subscriptions, and those of them that make no MRR, for they name no customer or no period of service
select
    count(*) as lines, count(case when not told then 1 end) as without,
    sum(case when told then 0 else amount end) as amount
from (
    select amount, customer_id is not null and in_service(service_start, service_end) as told
    from mart_transactions
    where status = 'paid' and type <> 'refund' and item_type = 'subscription'
) as billed
