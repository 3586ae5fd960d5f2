-- one row per month of the last 13: customers with scores, revenue, and what Champions hold of it
with days as (                                       -- all that is older than the 13 months counts alike, without a window
    select
        customer_id, case when run.rfm_window_months is null then greatest(month, run.report_month - 12) else month end as month,
        max(case when purchased then day end) as last_day, count(case when purchased then 1 end) as days,
        sum(bought_revenue) as revenue
    from mart_customer_days cross join run
    group by 1, 2
),
measured as (
    select
        c.month, d.customer_id, date_diff('day', max(d.last_day), cast(max(c.month_end) as date)) as recency_days,
        sum(case when d.month > c.month - run.window_months then d.days else 0 end) as frequency,
        sum(case when d.month > c.month - run.window_months then d.revenue else 0 end) as monetary
    from days as d
    cross join (select report_month, coalesce(rfm_window_months, 100000) as window_months from run) as run
    inner join calendar as c on c.month between run.report_month - 12 and run.report_month and d.month <= c.month
    group by c.month, d.customer_id
    having max(d.last_day) is not null
),
ranked as (                                         -- as the mart rfm_customers does at the last of the months
    select
        month, recency_days, frequency, monetary, count(*) over (partition by month) as customers,
        rank() over (partition by month order by recency_days) as recency_rank,
        rank() over (partition by month order by frequency) as frequency_rank,
        rank() over (partition by month order by monetary) as monetary_rank
    from measured
),
scored as (
    select
        month, monetary,
        100 * recency_score(r_set, recency_rank, customers, recency_days, r2, r3, r4, r5)
            + 10 * rfm_score(f_set, frequency_rank, customers, frequency, f2, f3, f4, f5)
            + rfm_score(m_set, monetary_rank, customers, monetary, m2, m3, m4, m5) as code
    from ranked cross join rfm_bounds
    where customers >= 5
)
select
    c.label as period, count(*) as customers, sum(s.monetary) as revenue,
    sum(case when codes.segment = 'Champions' then s.monetary else 0 end) as champions_revenue
from scored as s
inner join calendar as c on c.month = s.month
left join rfm_codes as codes on codes.code = s.code
group by c.label
order by c.label
