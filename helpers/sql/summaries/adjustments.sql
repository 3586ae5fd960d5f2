-- one row per adjustment that counts in revenue, the 100 latest, with how many there are and what they sum up to
with adjusted as (
    select
        t.transaction_id, t.line_no, t.customer_id, t.day, t.revenue as amount, t.product_name as reason, t.month = run.report_month as is_new
    from mart_transactions as t
    cross join run
    where t.type = 'adjustment' and t.revenue <> 0
),
placed as (
    select
        *, count(*) over () as found, sum(amount) over () as total,
        sum(case when is_new then 1 else 0 end) over () as found_new, sum(case when is_new then amount else 0 end) over () as total_new,
        rank() over (order by day desc, transaction_id, line_no) as place
    from adjusted
)
select
    cast(place as bigint) as place, transaction_id, line_no, customer_id, day, amount, reason, found, cast(total as decimal(18, 4)) as total,
    cast(found_new as bigint) as found_new, cast(total_new as decimal(18, 4)) as total_new
from placed
where place <= 100
order by 1
