-- one row per month of the book: its bounds, the numbers of the customers who join in it, and its shock
with calendar as (
    select
        month_no,
        seed,
        as_of - to_months(months - month_no) as starts_at,
        as_of - to_months(months - month_no - 1) as ends_at
    from (select seed, as_of, cast(months as integer) as months, unnest(range(months)) as month_no from settings)
),
weighted as (                                            -- slow growth times the season, January first
    select
        *,
        (100 + 2 * month_no) * [112, 104, 106, 100, 98, 94, 86, 82, 106, 110, 108, 94][month(starts_at)] as weight
    from calendar
),
shares as (
    select *, sum(weight) over (order by month_no) as so_far, sum(weight) over () as total from weighted
)
select
    month_no,
    12 * year(starts_at) + month(starts_at) as month_key,
    starts_at,
    ends_at,
    cast(customers * (so_far - weight) // total as bigint) + 1 as first_customer,
    cast(customers * so_far // total as bigint) as last_customer,
    100 - shock + cast('0x' || substr(md5(concat_ws(':', shares.seed, 'shock', month_no)), 1, 8) as bigint) % (2 * shock + 1)
        as shock_percent                                 -- of the chance to leave in this month
from shares cross join settings cross join rates
order by month_no
