-- one row per traced customer: five picked by the md5 of their id, from their source rows to what the marts say
with picked as (
    select customer_id, started_month, revenue, orders, sale_days
    from mart_customers
    order by md5(customer_id), customer_id
    limit 5
),
lines as (
    select
        customer_id, count(*) as source_rows,
        sum(case when stage = 'kept' and status = 'paid' then amount else 0 end)
            + sum(case when stage = 'kept' and status = 'paid' and run.tax = 'included' then coalesce(t.tax, 0) else 0 end) as amount,
        min(concat(file, chr(10), lpad(cast(line as varchar), 9, '0'))) as first_row
    from staged_transactions as t
    cross join run
    where customer_id in (select customer_id from picked) and stage <> 'after_as_of'
    group by customer_id
),
plans as (
    select
        customer_id, count(*) as subscription_rows, min(concat(file, chr(10), lpad(cast(line as varchar), 9, '0'))) as first_row
    from staged_subscriptions
    where customer_id in (select customer_id from picked) and stage <> 'after_as_of'
    group by customer_id
),
paying as (
    select s.customer_id, s.mrr from (
        select customer_id, sum(mrr) as mrr from mart_subscription_months cross join run
        where mart_subscription_months.month = run.report_month group by customer_id
    ) as s
)
select
    p.customer_id,
    concat(
        split_part(coalesce(l.first_row, u.first_row), chr(10), 1), ', line ',
        cast(cast(split_part(coalesce(l.first_row, u.first_row), chr(10), 2) as bigint) as varchar)
    ) as first_source_row,
    coalesce(l.source_rows, 0) as transaction_rows, coalesce(u.subscription_rows, 0) as subscription_rows,
    coalesce(l.amount, 0) as amount_in_source, p.revenue as revenue_in_mart, p.orders, y.mrr, c.label as first_month
from picked as p
left join lines as l on l.customer_id = p.customer_id
left join plans as u on u.customer_id = p.customer_id
left join paying as y on y.customer_id = p.customer_id
left join calendar as c on c.month = p.started_month
order by p.customer_id
