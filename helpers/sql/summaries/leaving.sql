-- one row per month and reason: customers who pay at the report month's end and are known to leave in that month, with their MRR
with ends as (                                       -- who pays on for something else does not leave with the first that ends
    select
        s.customer_id, s.paid_until, s.past_due_since is not null and coalesce(s.paid_until < s.ended_at, true) as lapses,
        row_number() over (partition by s.customer_id order by s.paid_until desc, s.subscription_id, s.plan_id) as nth
    from mart_subscriptions as s
    cross join run
    where s.pays and s.paid_from < run.as_of and s.paid_until >= run.as_of
)
select
    concat(cast(extract(year from e.paid_until) as varchar), '-', lpad(cast(extract(month from e.paid_until) as varchar), 2, '0')) as month,
    case when e.lapses then 'past due' else 'cancelled' end as reason,
    count(*) as customers, sum(m.mrr_end) as mrr
from ends as e
cross join run
inner join mart_customer_months as m on m.customer_id = e.customer_id and m.month = run.report_month
where e.nth = 1 and e.paid_until < timestamp '9999-12-31 00:00:00' and m.mrr_end > 0
group by extract(year from e.paid_until), extract(month from e.paid_until), case when e.lapses then 'past due' else 'cancelled' end
order by month, reason
