-- one row per customer with a sale by the end of a month: recency, frequency, monetary then, and their ranks among all
with measured as (
    select
        d.customer_id, date_diff('day', max(case when d.purchased then d.day end), cast(max(c.month_end) as date)) as recency_days,
        count(case when d.purchased and d.month > c.month - run.window_months then 1 end) as frequency,
        cast(sum(case when d.month > c.month - run.window_months then d.bought_revenue else 0 end)
            as decimal(24, 4)) as monetary
    from mart_customer_days as d
    cross join (select {{ month }} as month, coalesce(rfm_window_months, 100000) as window_months from run) as run
    inner join calendar as c on c.month = run.month and d.month <= c.month
    group by d.customer_id
    having max(case when d.purchased then 1 else 0 end) = 1
)
select                                              -- equal customers share the smallest rank, so they score equal
    m.*, c.customers,
    rank() over (order by m.recency_days) as recency_rank,
    rank() over (order by m.frequency) as frequency_rank,
    rank() over (order by m.monetary) as monetary_rank
from measured as m cross join (select count(*) as customers from measured) as c
