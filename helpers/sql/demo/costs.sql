-- one row per month and category of cost
with revenue as (
    select months.month_no, starts_at, coalesce(sum(usd), 0.00) as amount
    from months
    left join sales on transacted_at >= starts_at and transacted_at < ends_at
    group by months.month_no, starts_at
),
shares as (                                              -- per million of the month's sales, wobbling by a twentieth
    select
        revenue.*,
        category,
        scope,
        scope_id,
        share
        * (95 + cast('0x' || substr(md5(concat_ws(':', seed, month_no, category)), 1, 8) as bigint) % 11) as per_million
    from revenue
    cross join settings
    cross join cost_shares
)
select
    cast(starts_at as date) as month,
    category,
    cast(cast(amount as decimal(18, 2)) * cast(per_million as decimal(7, 0)) * 0.000001 as decimal(18, 2)) as amount,
    scope,
    scope_id,
    'USD' as currency
from shares
order by month, category
