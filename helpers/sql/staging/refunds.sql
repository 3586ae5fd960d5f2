-- one row per order that a refund names, where a policy asks: its first moment, and whether it was given back whole and soon
with asked as (                                      -- no row where none asks: then no other table is read
    select 'refund' as type, void_days from run where refunds_on = 'order_date' or void_days is not null
),
returned as (
    select
        t.original_transaction_id as transaction_id, max(asked.void_days) as void_days,
        sum(case when t.status = 'paid' then t.amount end) as refunded,
        max(case when t.status = 'paid' then cast(t.transacted_at as date) end) as last_day
    from staged_transactions as t
    inner join asked on asked.type = t.type
    where t.stage = 'kept' and t.original_transaction_id is not null
    group by t.original_transaction_id
)
select
    t.transaction_id, min(t.transacted_at) as ordered_at,
    coalesce(
        sum(case when t.type = 'sale' and t.status = 'paid' then t.amount else 0 end) > 0
        and max(r.refunded) = -sum(case when t.type = 'sale' and t.status = 'paid' then t.amount else 0 end)
        and max(r.last_day) <= cast(min(t.transacted_at) as date) + max(r.void_days), false
    ) as void                                        -- no order and no purchase; its money stays on its days
from staged_transactions as t
inner join returned as r on r.transaction_id = t.transaction_id
where t.stage = 'kept'
group by t.transaction_id
