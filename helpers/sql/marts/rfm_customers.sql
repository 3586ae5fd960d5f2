-- one row per customer with a sale: recency, frequency, monetary at as_of, their scores and the segment of the code
with ranked as (
{% include "staging/rfm_ranked.sql" %}
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
