-- one row per table and place of its kept rows: in the marts, with their money there; of spend also what falls after the month
with spend as (
    select
        coalesce(campaign, '') as campaign, channel, kind, month_of(period_start) as month, amount,
        date_diff('day', cast(period_start as date), cast(period_end as date)) + 1 as days,
        date_diff('day', cast(period_start as date), cast(run.as_of as date)) as days_to_end
    from staged_marketing_spend
    cross join run
    where stage = 'kept'
)
select 'transactions' as "table", 'in the marts' as place, cast(count(*) as bigint) as "rows", coalesce(sum(amount), 0) as amount
from mart_transactions
union all
select 'costs', 'in the marts', (
    select count(*) from staged_costs as s
    inner join mart_costs as m on m.month = month_of(s.month) and m.category = s.category
    where s.stage = 'kept'
), coalesce(sum(amount), 0)
from mart_costs
union all
select 'marketing_spend', 'in the marts', (
    select count(*) from spend as s
    inner join mart_marketing_spend as m
        on m.month = s.month and m.channel = s.channel and coalesce(m.campaign, '') = s.campaign and m.kind = s.kind
), coalesce(sum(amount), 0)
from mart_marketing_spend
union all
select 'marketing_spend', 'falls after the month', null, coalesce(sum(
    amount - cast(round(cast(amount as double) * days_to_end / days, 4) as decimal(18, 4))
), 0)
from spend
where days_to_end < days
order by "table", place
