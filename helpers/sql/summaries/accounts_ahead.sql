-- one row per plan and months from bill to bill at the start and age of who pays, else per repeat days and days to the last and seen: MRR, or repeat spend
with begun as (
    select customer_id, max(started_at) as started_at from mart_spells group by customer_id
),
paying as (
    select
        k.first_plan_id as plan_id, k.first_term as term, s.customer_id, s.mrr,
        months_lived(run.report_month, b.started_at) as age
    from mart_subscription_months as s
    cross join run
    inner join mart_customers as k on k.customer_id = s.customer_id
    inner join begun as b on b.customer_id = s.customer_id
    where run.has_subscriptions and s.month = run.report_month and s.mrr > 0
),
spent as (
    select t.customer_id, sum(t.revenue) as spend
    from mart_transactions as t
    inner join mart_customers as k on k.customer_id = t.customer_id
    cross join run
    where not run.has_subscriptions and t.sale and t.bought and t.day > k.first_sale_day
    group by t.customer_id
)
select
    plan_id, term, cast(age as integer) as age, cast(null as integer) as x, cast(null as integer) as last_days,
    cast(null as integer) as observed_days, count(distinct customer_id) as customers, sum(mrr) as amount
from paying
group by plan_id, term, age
union all
select
    null, null, null, k.purchase_days - 1, date_diff('day', k.first_sale_day, k.last_sale_day),
    date_diff('day', k.first_sale_day, cast(run.as_of as date)) - 1, count(*), sum(greatest(coalesce(s.spend, 0), 0))
from mart_customers as k
cross join run
left join spent as s on s.customer_id = k.customer_id
where not run.has_subscriptions and k.purchase_days > 0
group by 4, 5, 6
order by age, x, last_days, observed_days, plan_id, term
