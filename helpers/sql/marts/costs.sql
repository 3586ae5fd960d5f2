-- one row per month and category of costs
select cast(month_of(month) as integer) as month, category, cast(sum(amount) as decimal(18, 4)) as amount
from staged_costs
where stage = 'kept'
group by 1, 2
