-- one row per customer and spell: from the first paid moment to the end of service, or of activity where only sales are known
with paid as (                                       -- pauses: churn ends a span where the pause begins, and begins another one after it
    select s.*, run.as_of, run.pauses = 'churn' and s.paused_at < s.paid_until and (s.paused_at < run.as_of) as is_parted
    from mart_subscriptions as s
    cross join run
    where s.pays
),
pieces as (
    select
        *, paid_from as from_at, case when is_parted then paused_at else paid_until end as until_at,
        case when is_parted then null else churn_kind end as ends_as
    from paid
    where not coalesce(is_parted, false) or paused_at > paid_from
    union all
    select *, greatest(paid_from, resumed_at), paid_until, churn_kind
    from paid
    where is_parted and resumed_at >= paused_at and greatest(paid_from, resumed_at) < paid_until
),
spans as (
    select
        customer_id, plan_id, subscription_id as part, from_at,
        cast(until_at as date) as until_on, cast(second_of(until_at) as integer) as until_second, ends_as as churn_kind,
        term_of(billing, interval_count) as term
    from pieces
    where from_at < as_of
),
reached as (                                       -- how far the spans before this one reach, as one comparable text
    select
        *,
        concat(cast(until_on as varchar), lpad(cast(until_second as varchar), 6, '0')) as reach,
        concat(cast(cast(from_at as date) as varchar), lpad(cast(second_of(from_at) as varchar), 6, '0')) as begins
    from spans
),
opened as (
    select
        *,
        case when begins <= max(reach) over (
            partition by customer_id order by from_at, reach, part rows between unbounded preceding and 1 preceding
        ) then 0 else 1 end as opens
    from reached
),
numbered as (
    select *, sum(opens) over (partition by customer_id order by from_at, reach, part rows unbounded preceding) as spell
    from opened
),
placed as (
    select
        *,
        row_number() over (partition by customer_id, spell order by from_at, reach desc, part) as from_start,
        row_number() over (partition by customer_id, spell order by reach desc, from_at, part) as from_end
    from numbered
),
sale_days as (                                     -- each beside the last sale before its day, and the last of all
    select
        customer_id, day, first_sale_at,
        lag(last_sale_at) over (partition by customer_id order by day) as before,
        max(last_sale_at) over (
            partition by customer_id order by day rows between unbounded preceding and unbounded following
        ) as last_sale_at
    from mart_customer_days cross join run
    where sold and not run.has_subscriptions
),
returns as (                                       -- the days that begin a spell; the next one's sale before it ends this one
    select
        customer_id, first_sale_at, last_sale_at, run.inactive_days,
        row_number() over (partition by customer_id order by day) as spell,
        lead(before) over (partition by customer_id order by day) as last_at
    from sale_days cross join run
    where before is null
        or day > cast(before as date) + run.inactive_days
        or day = cast(before as date) + run.inactive_days and second_of(first_sale_at) > second_of(before)
)
select
    customer_id, cast(spell as integer) as spell,
    max(case when from_start = 1 then from_at end) as started_at,
    max(case when from_start = 1 then plan_id end) as plan_id,
    max(case when from_end = 1 then until_on end) as ended_on,
    max(case when from_end = 1 then until_second end) as ended_second,
    max(case when from_end = 1 then churn_kind end) as churn_kind,
    cast(max(case when from_start = 1 then term end) as integer) as term   -- months from bill to bill, at the start
from placed
group by customer_id, spell
union all
select
    customer_id, cast(spell as integer), first_sale_at, cast(null as varchar),
    cast(coalesce(last_at, last_sale_at) as date) + inactive_days,
    cast(second_of(coalesce(last_at, last_sale_at)) as integer), cast(null as varchar), 1
from returns
