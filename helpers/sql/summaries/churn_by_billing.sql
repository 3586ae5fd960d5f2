-- one row per month of the churn window and billing: customers at its start, renewals due in it, and who left, of both
with spans as (                                      -- billed every so many months, from the first paid one on
    select
        customer_id, plan_id, subscription_id, full_mrr, paid_from, paid_until,
        month_of(greatest(started_at, coalesce(trial_ended_at, started_at))) as first_month,
        term_of(billing, interval_count) as term,
        billing = 'month' or billing = 'year' as regular
    from mart_subscriptions
    where pays
),
live as (                                            -- of several subscriptions the largest stands for the customer
    select
        s.customer_id, c.month, s.term, s.first_month, s.regular,
        row_number() over (partition by s.customer_id, c.month order by s.full_mrr desc, s.subscription_id, s.plan_id) as nth
    from spans as s
    cross join run
    inner join calendar as c
        on c.month between month_of(s.paid_from) and month_of(s.paid_until)
        and s.paid_from < c.month_end and s.paid_until >= c.month_end
    where c.month between run.report_month - run.churn_window_months and run.report_month
),
states as (
    select
        m.month, case when l.regular and l.term = 1 then 'month' when l.regular and l.term = 12 then 'year' else 'other' end as billing,
        coalesce((m.month - l.first_month) % l.term = 0, false) as renews,
        movement(m.active_start, m.active_end, m.paused_start, m.paused_end, false) = 'churned' as churned
    from mart_customer_months as m
    cross join run
    left join live as l on l.customer_id = m.customer_id and l.month = m.month - 1 and l.nth = 1
    where m.active_start and run.has_subscriptions and m.month > run.report_month - run.churn_window_months
)
select
    cast(month as integer) as month, billing, count(*) as customers, count(case when churned then 1 end) as churned,
    count(case when renews then 1 end) as renewals, count(case when renews and churned then 1 end) as churned_at_renewal
from states
group by month, billing
order by month, billing
