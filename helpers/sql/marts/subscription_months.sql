-- one row per customer, plan and month whose end finds a paying or paused subscription: its MRR and the MRR that is paused
with live as (
    select
        s.customer_id, s.plan_id, c.month,
        case when s.discount_ends_at < c.month_end then s.full_mrr else s.discounted_mrr end as mrr,
        -- a snapshot holds the last pause and the last resumption: one before the pause ends an earlier one
        s.paused_at < c.month_end and coalesce(s.resumed_at >= c.month_end or s.resumed_at < s.paused_at, true) as paused
    from mart_subscriptions as s
    inner join calendar as c
        on c.month between month_of(s.paid_from) and month_of(s.paid_until)
        and s.paid_from < c.month_end and s.paid_until >= c.month_end
    where s.pays
)
select
    customer_id, plan_id, cast(month as integer) as month,
    cast(sum(case when paused then 0 else mrr end) as decimal(18, 4)) as mrr,
    cast(sum(case when paused then mrr else 0 end) as decimal(18, 4)) as paused_mrr,
    cast(count(*) as integer) as subscriptions
from live
where mrr > 0
group by customer_id, plan_id, month
