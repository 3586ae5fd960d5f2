-- one row per month of the first purchase, whether it fell on a month's first day, and age at the second: customers
with apart as (
    select
        month_of(first_sale_day) as first_month, extract(day from first_sale_day) = 1 as on_first_day,
        month_of(second_sale_day) as second_month,
        greatest(1, month_of(second_sale_day) - month_of(first_sale_day)
            + case when least(extract(day from first_sale_day), c.days) >= extract(day from second_sale_day) then 0 else 1 end
        ) as months_to_second
    from mart_customers
    left join calendar as c on c.month = month_of(second_sale_day)
    where first_sale_day is not null
)
select
    cast(first_month as integer) as first_month, on_first_day, cast(second_month as integer) as second_month,
    cast(case when second_month is not null then months_to_second end as integer) as months_to_second, count(*) as customers
from apart
group by 1, 2, 3, 4
order by 1, 2, 3, 4
