-- one row per month of the last year: who was a customer at its end, and what these brought from then to the report month
with base as (                                       -- paying then; where only sales are known: had bought by then
    select b.month as made_at, b.customer_id
    from mart_customer_months as b cross join run
    where run.has_subscriptions and b.mrr_end > 0 and b.month between run.report_month - 12 and run.report_month - 1
    union all
    select c.month, k.customer_id
    from calendar as c
    cross join run
    inner join mart_customers as k on month_of(k.first_sale_day) <= c.month
    where not run.has_subscriptions and c.month between run.report_month - 12 and run.report_month - 1
)
select
    cast(b.made_at as integer) as made_at, count(distinct b.customer_id) as customers,
    coalesce(sum(case when run.has_subscriptions then m.mrr_end else m.revenue end), 0) as actual
from base as b
cross join run
left join mart_customer_months as m on m.customer_id = b.customer_id and m.month > b.made_at and m.month <= run.report_month
group by b.made_at
order by made_at
