-- one row per {{ member }} of {{ table }} whose kept money is below zero in all, with the first row that is; none where all of the table is not
with kept as (
    select
        {{ member }} as member, amount, file, line, sum(amount) over (partition by {{ member }}) as whole,
        sum(amount) over () as everything, row_number() over (partition by {{ member }} order by case when amount < 0 then 1 else 2 end, file, line) as nth,
        count(*) over (partition by {{ member }}) as alike
    from staged_{{ table }}
    where stage = 'kept'
)
select member, cast(alike as bigint) as "rows", whole as amount, file, line
from kept
where nth = 1 and whole < 0 and everything < 0
order by member, line
