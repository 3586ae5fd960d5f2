-- one row per month, channel and kind: spend allocated by day, so that the parts of a row add up to it
with parts as (
    select
        c.month, s.channel, s.kind, s.amount,
        date_diff('day', s.period_start, s.period_end) + 1 as days,
        date_diff('day', s.period_start, least(cast(c.month_end as date), s.period_end + 1)) as days_to_end,
        date_diff('day', s.period_start, greatest(cast(c.month_start as date), s.period_start)) as days_to_start
    from staged_marketing_spend as s
    inner join calendar as c on c.month between month_of(s.period_start) and month_of(s.period_end)
    where s.stage = 'kept'
)
select
    cast(month as integer) as month, channel, kind,
    cast(sum(
        cast(round(cast(amount as double) * days_to_end / days, 4) as decimal(18, 4))
        - cast(round(cast(amount as double) * days_to_start / days, 4) as decimal(18, 4))
    ) as decimal(18, 4)) as amount
from parts
group by month, channel, kind
