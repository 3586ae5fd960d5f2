-- one row per measure and score: the smallest and largest value that got it
with scored as (
    select 'recency_days' as measure, r as score, cast(recency_days as decimal(18, 4)) as value from mart_rfm_customers
    union all select 'frequency', f, cast(frequency as decimal(18, 4)) from mart_rfm_customers
    union all select 'monetary', m, monetary from mart_rfm_customers
)
select measure, score, min(value) as lower, max(value) as upper, count(*) as customers
from scored
where score is not null
group by measure, score
order by measure, score
