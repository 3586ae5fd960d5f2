-- one row per table and stage: rows and money, empty where it does not add up; read is counted before rows are judged, the others after
with stages as (
    select 'read' as stage, 1 as position
    union all select 'kept', 2
    union all select 'rejected', 3
    union all select 'after_as_of', 4
),
counted as (
    select "table", 'read' as stage, cast(sum("rows") as bigint) as "rows", sum(amount) as amount from read_rows group by "table"
    union all
    select "table", stage, cast(sum("rows") as bigint), sum(amount) from staged_rows group by "table", stage
)
select r."table", s.stage, coalesce(c."rows", 0) as "rows", case when r.adds_up then coalesce(c.amount, 0) end as amount
from (select "table", count(amount) > 0 as adds_up from counted group by "table") as r
cross join stages as s
left join counted as c on c."table" = r."table" and c.stage = s.stage
order by r."table", s.position
