-- one row per age, state, entry age and months from bill to bill as of the start of the held-out months: customers, and those who left in them
with split as (                                     -- not set: the last quarter of the history; whole months
    select
        greatest(1, cast(round(cast(
            coalesce(run.holdout_weeks, date_diff('day', k.first_day, cast(run.as_of as date)) // 28) as double
        ) * 84 / 365.25) as integer)) as months
    from run cross join (select min(cast(started_at as date)) as first_day from mart_customers) as k
),
earlier as (                                        -- ages shrink by the held-out months; an end after that is not known
    select
        k.observed_months - s.months as observed, k.entry_months, k.first_term,
        k.spell_ended and k.spell_months <= k.observed_months - s.months as ended, k.spell_months, k.spell_ended, s.months
    from mart_customers as k cross join split as s
    where k.started_at is not null
)
select
    cast(case when ended then spell_months else observed end as integer) as month, ended,
    cast(entry_months as integer) as entered, first_term as term, count(*) as customers,
    count(case when spell_ended and not ended then 1 end) as left, max(months) as months
from earlier
where observed > entry_months and (ended or observed > 0) and case when ended then spell_months else observed end > entry_months
group by 1, 2, 3, 4
order by 1, 2, 3, 4
