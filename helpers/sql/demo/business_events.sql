-- one row per business event of the last three years; leaving and prices follow from the price change alone
select
    cast(starts_at + to_days(day - 1) as date) as date,
    label,
    kind,
    plan_id,
    cast(effect_bp * 0.01 as decimal(18, 2)) as effect_pct,
    cast(starts_at + to_days(day - 1) - to_days(announced_days) as date) as announced_on
from events
join settings on true
join months on month_no = months - 1 - months_before_last
order by date
