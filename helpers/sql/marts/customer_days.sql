-- one row per customer and day with transactions: revenue, orders, the first and last sale, and what of it was bought
select
    customer_id, day, cast(month_of(day) as integer) as month, cast(sum(revenue) as decimal(24, 4)) as revenue,
    cast(count(case when opens_order then 1 end) as integer) as orders,
    min(case when sale then transacted_at end) is not null as sold,
    min(case when sale then transacted_at end) as first_sale_at, max(case when sale then transacted_at end) as last_sale_at,
    max(case when bought and sale then 1 else 0 end) = 1 as purchased,        -- a day of purchase for RFM and models
    cast(sum(case when bought then revenue else 0 end) as decimal(24, 4)) as bought_revenue       -- net of refunds
from mart_transactions
where customer_id is not null
group by customer_id, day
