-- one row: customers with net revenue (MRR where no transactions are given) above 0 in the last 12 months, and what the top ones hold
with brought as (
    select m.customer_id, sum(case when run.has_transactions then m.revenue else m.mrr_end end) as revenue
    from mart_customer_months as m
    cross join run
    where m.month between run.report_month - 11 and run.report_month
    group by m.customer_id
),
amounts as (                                         -- equal customers share a row: none of them comes first
    select revenue, cast(count(*) as decimal(12, 0)) as customers
    from brought
    where revenue > 0
    group by revenue
),
placed as (
    select
        cast(revenue as decimal(24, 4)) as revenue, customers,
        cast(sum(customers) over (order by revenue desc) as decimal(12, 0)) - customers as ahead,
        cast(sum(customers) over () as decimal(12, 0)) as n
    from amounts
)
select
    cast(coalesce(sum(customers), 0) as bigint) as customers, coalesce(sum(cast(revenue * customers as decimal(38, 4))), 0) as revenue,
    max(revenue) as largest,
    -- a cut within equal customers, or within one, takes its part of them
    sum(cast(revenue * greatest(0, least(customers, n * 0.01 - ahead)) as decimal(38, 6))) as top_1,
    sum(cast(revenue * greatest(0, least(customers, n * 0.05 - ahead)) as decimal(38, 6))) as top_5,
    sum(cast(revenue * greatest(0, least(customers, n * 0.10 - ahead)) as decimal(38, 6))) as top_10,
    sum(cast(revenue * greatest(0, least(customers, n * 0.20 - ahead)) as decimal(38, 6))) as top_20,
    -- Σ (2i − n − 1)·y over the customers of a row: their places i add up to customers · (2n − 2·ahead − customers + 1) ÷ 2
    sum(cast(cast(revenue * customers as decimal(38, 4)) * (n - customers - 2 * ahead) as decimal(38, 4))) as rank_sum
from placed
