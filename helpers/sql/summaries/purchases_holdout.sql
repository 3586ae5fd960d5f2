-- one row per x, days to last, days observed as of the start of the holdout: customers, and repeat days they had in the holdout
with days as (
    select customer_id, day from mart_customer_days where purchased
),
split as (                                          -- not set: the last quarter of the history, in whole weeks
    select cast(run.as_of as date) - 7 * cast(w.weeks as integer) as holdout_from, w.weeks
    from run
    cross join (
        select coalesce(max(run.holdout_weeks), date_diff('day', min(days.day), cast(max(run.as_of) as date)) // 28) as weeks
        from run cross join days
    ) as w
),
seen as (
    select
        d.customer_id, min(d.day) as first_day,
        max(case when d.day < s.holdout_from then d.day end) as last_day,
        count(case when d.day < s.holdout_from then 1 end) as known, count(case when d.day >= s.holdout_from then 1 end) as later
    from days as d cross join split as s
    group by d.customer_id
)
select
    known - 1 as x, date_diff('day', first_day, last_day) as last_days,
    date_diff('day', first_day, s.holdout_from) - 1 as observed_days, count(*) as customers, sum(later) as later,
    max(s.weeks) as weeks
from seen cross join split as s
where known > 0
group by 1, 2, 3
order by 1, 2, 3
