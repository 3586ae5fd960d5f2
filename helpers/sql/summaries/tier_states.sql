-- one row per month and change of tier: customers and MRR by the highest tier at its start and at its end
with ranked as (
    select
        s.customer_id, s.month, s.plan_id, s.mrr, p.tier_rank,
        row_number() over (
            partition by s.customer_id, s.month order by coalesce(p.tier_rank, -1) desc, s.mrr desc, s.plan_id
        ) as nth
    from mart_subscription_months as s
    left join mart_plans as p on p.plan_id = s.plan_id
    where s.mrr > 0
),
tops as (
    select customer_id, month, plan_id, tier_rank from ranked where nth = 1
)
select
    m.month,
    case
        when f.plan_id is not null then f.plan_id when m.paused_start > 0 then '(paused)'
        when k.started_month = m.month or m.new_again then '(new)' else '(reactivated)'
    end as from_plan,
    coalesce(t.plan_id, case when m.paused_end > 0 then '(paused)' else '(churned)' end) as to_plan,
    f.tier_rank as from_rank, t.tier_rank as to_rank,
    count(*) as customers, sum(m.mrr_start) as mrr_start, sum(m.mrr_end) as mrr_end
from mart_customer_months as m
inner join mart_customers as k on k.customer_id = m.customer_id
cross join run
left join tops as f on f.customer_id = m.customer_id and f.month = m.month - 1
left join tops as t on t.customer_id = m.customer_id and t.month = m.month
where (f.plan_id is not null or t.plan_id is not null) and m.month between run.report_month - 12 and run.report_month
group by 1, 2, 3, 4, 5
order by 1, 2, 3
