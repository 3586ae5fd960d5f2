-- one row per month, channel, campaign and kind: spend allocated by day, so that the parts of a row add up to it
with parts as (
    select
        c.month, s.channel, s.campaign, s.kind, s.amount,
        date_diff('day', s.first_day, s.last_day) + 1 as days,
        date_diff('day', s.first_day, least(cast(c.month_end as date), s.last_day + 1)) as days_to_end,
        date_diff('day', s.first_day, greatest(cast(c.month_start as date), s.first_day)) as days_to_start
    from (
        select *, cast(period_start as date) as first_day, cast(period_end as date) as last_day
        from staged_marketing_spend
        where stage = 'kept'
    ) as s
    inner join calendar as c on c.month between month_of(s.first_day) and month_of(s.last_day)
)
select
    cast(month as integer) as month, channel, campaign, kind,
    cast(sum(
        cast(round(cast(amount as double) * days_to_end / days, 4) as decimal(18, 4))
        - cast(round(cast(amount as double) * days_to_start / days, 4) as decimal(18, 4))
    ) as decimal(18, 4)) as amount
from parts
group by month, channel, campaign, kind
