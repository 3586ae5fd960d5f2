-- one row per customer with a sale and month of the last 13: recency, frequency, monetary at its end, scores, segment
with days as (
    select customer_id, month, day, max(case when sale then 1 else 0 end) as sold, sum(revenue) as revenue
    from mart_transactions
    where bought
    group by customer_id, month, day
),
history as (
    select
        c.month as at_month, c.month_end, d.customer_id,
        max(case when d.sold = 1 then d.day end) as last_day,
        count(case when d.sold = 1 and d.month > c.month - coalesce(run.rfm_window_months, 100000) then 1 end) as frequency,
        cast(sum(case when d.month > c.month - coalesce(run.rfm_window_months, 100000) then d.revenue else 0 end)
            as decimal(24, 4)) as monetary
    from days as d
    cross join run
    inner join calendar as c on c.month between run.report_month - 12 and run.report_month and d.month <= c.month
    group by c.month, c.month_end, d.customer_id
),
measured as (
    select
        at_month, customer_id, date_diff('day', last_day, cast(month_end as date)) as recency_days, frequency, monetary,
        count(*) over (partition by at_month) as customers
    from history
    where last_day is not null
),
ranked as (                                         -- equal customers share the smallest rank, so they score equal
    select
        *,
        rank() over (partition by at_month order by recency_days) as recency_rank,
        rank() over (partition by at_month order by frequency) as frequency_rank,
        rank() over (partition by at_month order by monetary) as monetary_rank
    from measured
),
scored as (
    select
        at_month, customer_id, recency_days, frequency, monetary,
        case when customers >= 5 then 5 - 5 * (recency_rank - 1) // customers end as r,
        case when customers >= 5 then 1 + 5 * (frequency_rank - 1) // customers end as f,
        case when customers >= 5 then 1 + 5 * (monetary_rank - 1) // customers end as m
    from ranked
)
select
    s.customer_id, cast(s.at_month as integer) as month, cast(s.recency_days as integer) as recency_days,
    cast(s.frequency as integer) as frequency, s.monetary,
    cast(s.r as integer) as r, cast(s.f as integer) as f, cast(s.m as integer) as m, codes.segment
from scored as s
left join rfm_codes as codes on codes.code = 100 * s.r + 10 * s.f + s.m
