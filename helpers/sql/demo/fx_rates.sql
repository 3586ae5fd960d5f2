-- one row per month's last day, from the one before the book: how many USD a euro costs, a walk of at most a hundredth a step
with days as (
    select
        month_no,
        cast(book_at + to_months(cast(month_no as integer)) as date) - 1 as date,
        cast('0x' || substr(md5(concat_ws(':', seed, 'fx', month_no)), 1, 8) as bigint) % 201 - 100 as step
    from (select *, unnest(range(months + 1)) as month_no from settings)
)
select
    date,
    'EUR' as from_currency,
    'USD' as to_currency,
    cast((10800 + sum(step) over (order by month_no)) * 0.0001 as decimal(18, 4)) as rate
from days
order by date
