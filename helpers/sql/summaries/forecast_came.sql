-- one row per month of the last year: who was a customer at its end, and what these brought from then to the report month
with paying as (
    select b.month as made_at, b.customer_id
    from mart_customer_months as b cross join run
    where run.has_subscriptions and b.mrr_end > 0 and b.month between run.report_month - 12 and run.report_month - 1
),
buyers as (                                          -- where only sales are known: a customer from the first one on
    select k.customer_id, greatest(month_of(k.first_sale_day), run.report_month - 12) as since
    from mart_customers as k cross join run
    where not run.has_subscriptions and k.first_sale_day is not null
),
joined as (
    select since, count(*) as customers from buyers group by since
),
brought as (
    select b.since, m.month, sum(m.revenue) as revenue
    from mart_customer_months as m
    cross join run
    inner join buyers as b on b.customer_id = m.customer_id
    where m.month between run.report_month - 11 and run.report_month
    group by b.since, m.month
),
parts as (
    select p.made_at, count(distinct p.customer_id) as customers, coalesce(sum(m.mrr_end), 0) as actual
    from paying as p
    cross join run
    left join mart_customer_months as m on m.customer_id = p.customer_id and m.month > p.made_at and m.month <= run.report_month
    group by p.made_at
    union all
    select c.month, sum(j.customers), 0
    from calendar as c
    cross join run
    inner join joined as j on j.since <= c.month
    where c.month < run.report_month
    group by c.month
    union all
    select c.month, 0, sum(b.revenue)
    from calendar as c
    inner join brought as b on b.since <= c.month and b.month > c.month
    group by c.month
)
select cast(made_at as integer) as made_at, cast(sum(customers) as bigint) as customers, sum(actual) as actual
from parts
group by made_at
order by made_at
