-- one row per month from the first purchase on: days of repeat purchase in it, and days from its end to as_of
with repeats as (
    select d.month, count(*) as days
    from mart_customer_days as d
    inner join mart_customers as k on k.customer_id = d.customer_id
    where d.purchased and d.day > k.first_sale_day
    group by d.month
)
select
    c.label as period, coalesce(r.days, 0) as repeats,
    date_diff('day', cast(c.month_end as date), cast(run.as_of as date)) as days_left
from calendar as c
cross join run
left join repeats as r on r.month = c.month
where c.month between (select min(month_of(first_sale_day)) from mart_customers) and run.report_month
order by c.label
