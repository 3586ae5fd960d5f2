-- one row per month, state and cell of customers: how many pay at its end, or paid within a year and do not, and what followed
with spans as (                                      -- billed every so many months, from the first paid one on
    select
        customer_id, plan_id, subscription_id, full_mrr, paid_from, paid_until,
        month_of(greatest(started_at, coalesce(trial_ended_at, started_at))) as first_month,
        term_of(billing, interval_count) as term
    from mart_subscriptions
    where pays
),
live as (                                            -- of several subscriptions the largest stands for the customer
    select
        s.customer_id, s.plan_id, s.term, s.first_month, c.month,
        row_number() over (partition by s.customer_id, c.month order by s.full_mrr desc, s.subscription_id, s.plan_id) as nth
    from spans as s
    cross join run
    inner join calendar as c
        on c.month between month_of(s.paid_from) and month_of(s.paid_until)
        and s.paid_from < c.month_end and s.paid_until >= c.month_end
    where c.month <= run.report_month
),
paying as (
    select
        customer_id, month, mrr_end as mrr,
        lead(month) over (partition by customer_id order by month, customer_id) as next_month,
        lead(mrr_end) over (partition by customer_id order by month, customer_id) as next_mrr
    from mart_customer_months
    where mrr_end > 0
),
states as (
    select
        p.month, 'paying' as state, l.plan_id, l.term,
        l.term - (p.month - l.first_month) % l.term as ahead,          -- months until the next renewal, and its number
        (p.month - l.first_month) // l.term + 1 as number,
        p.mrr, coalesce(p.next_month = p.month + 1, false) as pays_next, p.next_mrr
    from paying as p
    inner join live as l on l.customer_id = p.customer_id and l.month = p.month and l.nth = 1
    union all
    select c.month, 'away', '', 0, 0, 0, p.mrr, coalesce(p.next_month = c.month + 1, false), p.next_mrr
    from paying as p
    cross join run
    inner join calendar as c
        on c.month between p.month + 1 and least(p.month + 12, coalesce(p.next_month - 1, run.report_month), run.report_month)
)
select
    cast(month as integer) as month, state, plan_id, cast(term as integer) as term, cast(ahead as integer) as ahead,
    cast(number as integer) as number, count(*) as customers, sum(mrr) as mrr,
    sum(cast(cast(mrr as decimal(20, 4)) * cast(mrr as decimal(20, 4)) as decimal(38, 4))) as mrr_mrr,
    count(case when pays_next then 1 end) as stayed,
    sum(case when pays_next then mrr else 0 end) as stayed_mrr, sum(case when pays_next then next_mrr else 0 end) as next_mrr
from states
group by month, state, plan_id, term, ahead, number
order by month, state, plan_id, term, ahead, number
