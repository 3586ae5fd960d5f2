-- one row per customer: what it brought so far and is expected to bring over the horizon, times the margin, and on what basis
with paying as (                                     -- completed months since the latest spell began
    select
        k.customer_id, k.first_plan_id, m.mrr_end as mrr,
        run.report_month + 1 - month_of(s.started_at)
            - case when extract(day from s.started_at) = 1 and second_of(s.started_at) = 0 then 0 else 1 end as age
    from mart_customers as k
    cross join run
    inner join mart_customer_months as m on m.customer_id = k.customer_id and m.month = run.report_month and m.mrr_end > 0
    inner join (select customer_id, max(started_at) as started_at from mart_spells group by customer_id) as s
        on s.customer_id = k.customer_id
    where run.has_subscriptions
),
repeats as (
    select t.customer_id, sum(t.revenue) as spend
    from mart_transactions as t
    inner join mart_customers as k on k.customer_id = t.customer_id
    cross join run
    where not run.has_subscriptions and t.sale and t.bought and t.day > k.first_sale_day
    group by t.customer_id
),
ahead as (
    select p.customer_id, p.mrr * coalesce(own.worth, whole.worth) as worth
    from paying as p
    left join months_ahead as own on own.dimension = 'plan' and own.member = p.first_plan_id and own.age = p.age
    left join months_ahead as whole on whole.dimension = 'all' and whole.age = p.age
    union all
    select k.customer_id, f.worth + f.worth_of_spend * greatest(coalesce(r.spend, 0), 0)
    from mart_customers as k
    cross join run
    inner join purchases_ahead as f
        on f.x = k.purchase_days - 1 and f.last_days = date_diff('day', k.first_sale_day, k.last_sale_day)
        and f.observed_days = date_diff('day', k.first_sale_day, cast(run.as_of as date)) - 1
    left join repeats as r on r.customer_id = k.customer_id
    where not run.has_subscriptions
),
billed as (                                          -- MRR of all month ends, where no transactions say what was paid
    select customer_id, sum(mrr_end) as mrr
    from mart_customer_months cross join run
    where not run.has_transactions
    group by customer_id
),
valued as (                                          -- eight decimals, so that millions of rounded rows add up to the cent
    select
        k.customer_id,
        cast(case when run.has_transactions then k.revenue else coalesce(b.mrr, 0) end * t.margin as decimal(28, 8)) as historic,
        case when t.known then cast(coalesce(a.worth, 0) as decimal(28, 8)) end as predicted,
        a.customer_id is not null as modelled, t.known, t.method, t.basis, run.has_subscriptions
    from mart_customers as k
    cross join run
    cross join account_terms as t
    left join billed as b on b.customer_id = k.customer_id
    left join ahead as a on a.customer_id = k.customer_id
)
select
    customer_id, historic, predicted, cast(historic + predicted as decimal(28, 8)) as total,
    case
        when modelled or not known then method
        when has_subscriptions then 'not paying at the month end'
        else 'no purchase that the model takes'
    end as method,
    basis, modelled
from valued
