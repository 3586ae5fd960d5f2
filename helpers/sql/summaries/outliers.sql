-- one row per paid amount that lies far beyond the others of its sign: kept, and listed, the 100 largest
with paid as (
    select
        transaction_id, line_no, customer_id, cast(transacted_at as date) as paid_on, amount, currency, revenue,
        amount < 0 as is_below, abs(amount) as absolute
    from mart_transactions
    where status = 'paid' and amount <> 0
),
counted as (
    select is_below, absolute, count(*) as amounts from paid group by is_below, absolute
),
climbed as (
    select
        is_below, absolute, sum(amounts) over (partition by is_below order by absolute) as upto,
        sum(amounts) over (partition by is_below) as amounts
    from counted
),
spread as (                                          -- quartiles are amounts of the book: Hyndman and Fan's first definition
    select
        is_below,
        cast(min(case when 4 * upto >= amounts then absolute end) as double) as lower_quartile,
        cast(min(case when 2 * upto >= amounts then absolute end) as double) as middle,
        cast(min(case when 4 * upto >= 3 * amounts then absolute end) as double) as upper_quartile
    from climbed
    group by is_below
),
far as (                                             -- log a > log Q3 + 3 (log Q3 - log Q1), without logarithms
    select p.*, cast(p.absolute as double) / s.middle as times_median
    from paid as p
    inner join spread as s on s.is_below = p.is_below
    where cast(p.absolute as double) > 10 * s.middle
        and cast(p.absolute as double) * s.lower_quartile * s.lower_quartile * s.lower_quartile
            > s.upper_quartile * s.upper_quartile * s.upper_quartile * s.upper_quartile
),
placed as (
    select
        *, count(*) over () as found, sum(revenue) over () as far_revenue,
        rank() over (order by absolute desc, transaction_id, line_no) as place
    from far
)
select
    cast(p.place as bigint) as place, p.transaction_id, p.line_no, p.customer_id, p.paid_on, p.amount, p.currency, p.times_median, p.found,
    case when a.revenue > 0 then cast(p.far_revenue as double) / cast(a.revenue as double) end as revenue_share
from placed as p
cross join (select sum(revenue) as revenue from mart_transactions) as a
where p.place <= 100
order by 1
