-- one row per repeat days x, days to the last purchase and days observed: how many customers have them, at as_of
select
    purchase_days - 1 as x, date_diff('day', first_sale_day, last_sale_day) as last_days,
    date_diff('day', first_sale_day, cast(run.as_of as date)) - 1 as observed_days, count(*) as customers
from mart_customers cross join run
where purchase_days > 0
group by 1, 2, 3
order by 1, 2, 3
