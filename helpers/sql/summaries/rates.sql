-- one row per foreign currency of the rows before as_of: how many there are, its rates, how old the last one is, the widest gap, and the rate then and a year before
with used as (
{%- for table in tables %}
    select upper(t.currency) as currency, count(*) as uses
    from raw_{{ table.name }} as t
    cross join run
    where upper(t.currency) <> run.currency and coalesce({{ table.moment }} < run.as_of, true)
    group by upper(t.currency)
    {{ "union all" if not loop.last }}
{%- endfor %}
),
quoted as (
    select distinct case when to_currency = run.currency then from_currency else to_currency end as currency, cast(date as date) as day
    from staged_fx_rates
    cross join run
    where stage = 'kept' and run.currency in (from_currency, to_currency)
),
spaced as (
    select currency, day, date_diff('day', day, lead(day) over (partition by currency order by day)) as days_to_next from quoted
),
spans as (
    select currency, count(*) as quotes, min(day) as first_rate, max(day) as last_rate, max(days_to_next) as widest_gap
    from spaced
    group by currency
),
priced as (
    select
        rates.currency, max(case when rates.day = cast(run.as_of as date) - 1 then rates.rate end) as rate,
        max(case when rates.day = cast(run.as_of as date) - 366 then rates.rate end) as rate_a_year_before
    from rates
    cross join run
    group by rates.currency
)
select
    u.currency, u."rows", s.quotes, s.first_rate, s.last_rate, s.widest_gap,
    date_diff('day', s.last_rate, cast(run.as_of as date)) as age_days, p.rate, p.rate_a_year_before
from (select currency, cast(sum(uses) as bigint) as "rows" from used group by currency) as u
cross join run
left join spans as s on s.currency = u.currency
left join priced as p on p.currency = u.currency
order by 1
