-- one row per segment: customers, revenue, and the sums and medians that describe it
select
    coalesce(segment, '(no score)') as segment, count(*) as customers, sum(monetary) as revenue,
    median(cast(recency_days as double)) as recency_days, median(cast(frequency as double)) as frequency,
    median(cast(monetary as double)) as monetary
from mart_rfm_customers
group by coalesce(segment, '(no score)')
order by revenue desc, segment
