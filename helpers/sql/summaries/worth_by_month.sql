-- one row per month of the last thirteen, dimension and member: MRR at its end per customer who is there, in sums, as customer_value has it
with there as (                                      -- paying or paused
    select m.month, k.first_plan_id, m.mrr_end as y
    from mart_customer_months as m
    cross join run
    inner join mart_customers as k on k.customer_id = m.customer_id
    where (m.active_end or m.paused_end > 0) and m.month between run.report_month - 12 and run.report_month
),
members as (
    select month, 'all' as dimension, 'all' as member, y from there
    union all
    select month, 'plan', first_plan_id, y from there where first_plan_id is not null
)
select
    month, dimension, member, count(*) as customers, sum(y) as sum_y, count(*) as sum_x,
    sum(times(y, y)) as sum_yy, sum(y) as sum_xy, count(*) as sum_xx
from members
group by month, dimension, member
order by month, dimension, member
