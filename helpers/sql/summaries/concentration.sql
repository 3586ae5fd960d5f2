-- one row per measure: what the top customers hold of the net revenue (MRR where no transactions are given) of the last 12 months
with brought as (
    select m.customer_id, sum(case when run.has_transactions then m.revenue else m.mrr_end end) as revenue
    from mart_customer_months as m
    cross join run
    where m.month between run.report_month - 11 and run.report_month
    group by m.customer_id
),
amounts as (                                         -- equal customers share a row: none of them comes first
    select cast(revenue as decimal(24, 4)) as revenue, cast(count(*) as decimal(12, 0)) as customers
    from brought
    where revenue > 0
    group by revenue
),
placed as (
    select
        revenue, customers, cast(sum(customers) over (order by revenue desc) as decimal(12, 0)) - customers as ahead,
        cast(sum(customers) over () as decimal(12, 0)) as n
    from amounts
),
cuts as (
    select 1 as place, 'largest customer' as measure, cast(0 as decimal(4, 2)) as share
    union all select 2, 'top 1%', 0.01
    union all select 3, 'top 5%', 0.05
    union all select 4, 'top 10%', 0.10
    union all select 5, 'top 20%', 0.20
),
cut as (
    select c.place, c.measure, p.*, case when c.place = 1 then 1 else p.n * c.share end as wanted
    from placed as p
    cross join cuts as c
),
held as (
    select                                           -- a cut within equal customers, or within one, takes its part of them
        place, measure, max(n) as n, max(wanted) as customers,
        cast(sum(cast(revenue * greatest(0, least(customers, wanted - ahead)) as decimal(38, 6))) as double) as part,
        cast(sum(cast(revenue * customers as decimal(38, 4))) as double) as whole
    from cut
    group by place, measure
    union all
    -- Σ (2i − n − 1)·y ÷ (n·Σ y), i from the smallest: the i of a row's customers add up to customers·(2n − 2·ahead − customers + 1) ÷ 2
    select
        6, 'Gini coefficient', max(n), null,
        cast(sum(cast(cast(revenue * customers as decimal(38, 4)) * (n - customers - 2 * ahead) as decimal(38, 4))) as double),
        cast(sum(cast(cast(revenue * customers as decimal(38, 4)) * n as decimal(38, 4))) as double)
    from placed
    having count(*) > 0
)
select
    place, measure, cast(customers as double) as customers, case when place < 6 then part end as revenue,
    part / whole as value, cast(n as bigint) as n
from held
order by place
