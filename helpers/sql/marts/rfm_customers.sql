-- one row per customer with a sale: recency, frequency, monetary at as_of, their scores and the segment of the code
with measured as (
    select
        d.customer_id, date_diff('day', max(case when d.purchased then d.day end), cast(max(run.as_of) as date)) as recency_days,
        count(case when d.purchased and d.month > run.report_month - run.window_months then 1 end) as frequency,
        cast(sum(case when d.month > run.report_month - run.window_months then d.bought_revenue else 0 end)
            as decimal(24, 4)) as monetary
    from mart_customer_days as d
    cross join (select as_of, report_month, coalesce(rfm_window_months, 100000) as window_months from run) as run
    group by d.customer_id
    having max(case when d.purchased then 1 else 0 end) = 1
),
ranked as (                                         -- equal customers share the smallest rank, so they score equal
    select
        m.*, c.customers,
        rank() over (order by m.recency_days) as recency_rank,
        rank() over (order by m.frequency) as frequency_rank,
        rank() over (order by m.monetary) as monetary_rank
    from measured as m cross join (select count(*) as customers from measured) as c
),
scored as (
    select
        customer_id, recency_days, frequency, monetary,
        case when customers >= 5 then recency_score(r_set, recency_rank, customers, recency_days, r2, r3, r4, r5) end as r,
        case when customers >= 5 then rfm_score(f_set, frequency_rank, customers, frequency, f2, f3, f4, f5) end as f,
        case when customers >= 5 then rfm_score(m_set, monetary_rank, customers, monetary, m2, m3, m4, m5) end as m
    from ranked cross join rfm_bounds
)
select
    s.customer_id, cast(s.recency_days as integer) as recency_days, cast(s.frequency as integer) as frequency, s.monetary,
    cast(s.r as integer) as r, cast(s.f as integer) as f, cast(s.m as integer) as m, codes.segment
from scored as s
left join rfm_codes as codes on codes.code = 100 * s.r + 10 * s.f + s.m
