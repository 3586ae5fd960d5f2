-- one row: where scores begin that are set (rfm.cuts: fixed) or were those of a base month (frozen); null: by this month's ranks
with ranked as (
{% include "staging/rfm_ranked.sql" %}
),
bounds as (                                          -- the smallest value of a score, of R the largest
    select 'recency_days' as measure, recency_score(false, recency_rank, customers, 0, 0, 0, 0, 0) as score,
        cast(max(recency_days) as decimal(24, 4)) as bound
    from ranked where customers >= 5 group by 2
    union all
    select 'frequency', rfm_score(false, frequency_rank, customers, 0, 0, 0, 0, 0), cast(min(frequency) as decimal(24, 4))
    from ranked where customers >= 5 group by 2
    union all
    select 'monetary', rfm_score(false, monetary_rank, customers, 0, 0, 0, 0, 0), min(monetary)
    from ranked where customers >= 5 group by 2
    union all
    select measure, score, cast(bound as decimal(24, 4)) from rfm_fixed
)
select
    count(case when measure = 'recency_days' then 1 end) > 0 as r_set,
    count(case when measure = 'frequency' then 1 end) > 0 as f_set,
    count(case when measure = 'monetary' then 1 end) > 0 as m_set,
    max(case when measure = 'recency_days' and score = 2 then bound end) as r2,
    max(case when measure = 'recency_days' and score = 3 then bound end) as r3,
    max(case when measure = 'recency_days' and score = 4 then bound end) as r4,
    max(case when measure = 'recency_days' and score = 5 then bound end) as r5,
    max(case when measure = 'frequency' and score = 2 then bound end) as f2,
    max(case when measure = 'frequency' and score = 3 then bound end) as f3,
    max(case when measure = 'frequency' and score = 4 then bound end) as f4,
    max(case when measure = 'frequency' and score = 5 then bound end) as f5,
    max(case when measure = 'monetary' and score = 2 then bound end) as m2,
    max(case when measure = 'monetary' and score = 3 then bound end) as m3,
    max(case when measure = 'monetary' and score = 4 then bound end) as m4,
    max(case when measure = 'monetary' and score = 5 then bound end) as m5
from bounds
