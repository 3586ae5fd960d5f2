-- one row per foreign currency and day to as_of: its rate to the report's currency, the last on or before the day
with quoted as (
    select from_currency as currency, cast(date as date) as day, date as moment, cast(rate as decimal(20, 12)) as rate, 1 as way  -- wider than what it multiplies
    from staged_fx_rates cross join run
    where stage = 'kept' and to_currency = run.currency
    union all
    select to_currency, cast(date as date), date, cast(round(1 / cast(rate as double), 12) as decimal(20, 12)), 2
    from staged_fx_rates cross join run
    where stage = 'kept' and from_currency = run.currency and rate > 0.00000001
),
daily as (                                           -- the last of a day; where both ways are quoted, the one that needs no division
    select currency, day, rate, row_number() over (partition by currency, day order by way, moment desc, rate desc) as nth from quoted
),
spans as (
    select currency, rate, day as first_day, lead(day) over (partition by currency order by day) as next_day
    from daily
    where nth = 1
)
select s.currency, d.day, s.rate
from spans as s
cross join run
inner join days as d on d.day >= s.first_day and d.day < coalesce(s.next_day, cast(run.as_of as date) + 1)
