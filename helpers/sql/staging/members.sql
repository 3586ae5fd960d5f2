-- one row per dimension of the params: how many members are told of
select dimension, count(distinct member) as members from told group by dimension order by dimension
