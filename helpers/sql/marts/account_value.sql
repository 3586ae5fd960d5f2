-- one row per customer: what it brought so far and is expected to bring over the horizon, times the margin, and on what basis
with paying as (                                     -- completed months since the latest spell began
    select
        k.customer_id, k.first_plan_id, k.first_term, m.mrr_end as mrr,
        months_lived(run.report_month, s.started_at) as age
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
    select
        p.customer_id, p.mrr * coalesce(own.worth, whole.worth, rest.worth) as worth, coalesce(own.low, whole.low, rest.low) as low,
        coalesce(own.high, whole.high, rest.high) as high
    from paying as p
    left join months_ahead as own
        on own.dimension = 'plan' and own.member = p.first_plan_id and own.term = p.first_term and own.age = p.age
    left join months_ahead as whole on whole.dimension = 'all' and whole.term = p.first_term and whole.age = p.age
    left join months_ahead as rest on rest.dimension = 'all' and rest.term = 0 and rest.age = p.age
    union all
    select k.customer_id, f.worth + f.worth_of_spend * greatest(coalesce(r.spend, 0), 0), f.low, f.high
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
year as (
    select m.customer_id, sum(case when run.has_transactions then m.revenue else m.mrr_end end) as revenue
    from mart_customer_months as m
    cross join run
    where m.month between run.report_month - 11 and run.report_month
    group by m.customer_id
),
asked as (
    select q.customer_id, count(*) as tickets
    from mart_support_tickets as q
    cross join run
    where month_of(q.opened_at) between run.report_month - 11 and run.report_month
    group by q.customer_id
),
service as (                                         -- a ticket's part of the support costs of the same months
    select s.amount / q.tickets as cost, q.tickets
    from (
        select cast(sum(c.amount) as double) as amount
        from mart_costs as c
        cross join run
        where c.category = 'support' and c.month between run.report_month - 11 and run.report_month
    ) as s
    cross join (select sum(tickets) as tickets from asked) as q
),
valued as (                                          -- eight decimals, so that millions of rounded rows add up to the cent
    select
        k.customer_id,
        cast(case when run.has_transactions then k.revenue else coalesce(b.mrr, 0) end * t.margin as decimal(28, 8)) as historic,
        case when t.known then cast(coalesce(a.worth, 0) as decimal(28, 8)) end as predicted,
        case when t.known then cast(coalesce(least(a.worth * a.low, a.worth * a.high), 0) as decimal(28, 4)) end as predicted_low,
        case when t.known then cast(coalesce(greatest(a.worth * a.low, a.worth * a.high), 0) as decimal(28, 4)) end as predicted_high,
        a.customer_id is not null as modelled, t.known, t.method, t.basis, run.has_subscriptions,
        case when e.tickets is not null then coalesce(q.tickets, 0) end as tickets_12m,
        cast(e.cost * coalesce(q.tickets, 0) as decimal(28, 4)) as cost_to_serve_12m,
        -- g holds support by revenue: it is given back where it is taken by tickets
        cast(
            coalesce(y.revenue, 0) * (t.margin + case when e.cost is null then 0 else t.support end)
            - coalesce(e.cost * q.tickets, 0) as decimal(28, 4)) as contribution_12m
    from mart_customers as k
    cross join run
    cross join account_terms as t
    cross join service as e
    left join year as y on y.customer_id = k.customer_id
    left join asked as q on q.customer_id = k.customer_id
    left join billed as b on b.customer_id = k.customer_id
    left join ahead as a on a.customer_id = k.customer_id
)
select
    customer_id, historic, predicted, predicted_low, predicted_high, cast(historic + predicted as decimal(28, 8)) as total,
    case
        when modelled or not known then method
        when has_subscriptions then 'not paying at the month end'
        else 'no purchase that the model takes'
    end as method,
    basis, modelled, tickets_12m, cost_to_serve_12m, contribution_12m
from valued
