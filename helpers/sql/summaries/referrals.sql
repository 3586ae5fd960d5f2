-- one row per month of the last six: new customers, and how many of them a known customer brought; none where nobody is said to be brought
with told as (
    select
        k.started_month, k.is_new, count(k.referred_by) over () as named,
        case when k.referred_by <> k.customer_id and b.customer_id is not null then 1 else 0 end as is_brought
    from mart_customer_360 as k
    left join mart_customers as b on b.customer_id = k.referred_by
)
select c.month, count(t.is_new) as new_customers, cast(coalesce(sum(t.is_brought), 0) as bigint) as brought
from calendar as c
cross join run
left join told as t on t.started_month = c.month and t.is_new
where c.month between run.report_month - 5 and run.report_month and (select max(named) from told) > 0
group by c.month
order by c.month
