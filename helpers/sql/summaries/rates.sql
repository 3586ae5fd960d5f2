-- one row per foreign currency of the rows before as_of: how many there are, its rates, how old the last one was when it was last used, the widest gap, and the rate of the last day and of a year before
with used as (
{%- for table in tables %}
    select
        upper(t.currency) as currency, count(*) as uses,
        {%- if table.name == "subscriptions" %}         -- in use until they end
        max(least(coalesce(cast(t.ended_at as date), run.last_day), run.last_day)) as last_use
        {%- else %}
        max(cast(coalesce({{ table.moment }}, run.last_day) as date)) as last_use
        {%- endif %}
    from raw_{{ table.name }} as t
    cross join (select currency, as_of, cast(as_of as date) - 1 as last_day from run) as run
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
    u.last_use, case when s.last_rate is not null then greatest(date_diff('day', s.last_rate, u.last_use), 0) end as age_days, p.rate, p.rate_a_year_before
from (select currency, cast(sum(uses) as bigint) as "rows", max(last_use) as last_use from used group by currency) as u
left join spans as s on s.currency = u.currency
left join priced as p on p.currency = u.currency
order by 1
