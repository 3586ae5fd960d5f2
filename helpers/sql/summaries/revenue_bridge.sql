-- one row per month, up to 13: from MRR at its end to what its days and its invoices bring, and to the net revenue
with lines as (
    select
        month, revenue, type = 'refund' as is_refund,
        coalesce(item_type in ('subscription', 'addon'), subscription_id is not null or in_service(service_start, service_end)) as recurs,
        in_service(service_start, service_end) as spread, cast(service_start as date) as from_on,
        -- an end may be told as the last second, or as the last day: where the day after makes whole months of it
        cast(service_end as date) + case
            when second_of(service_end) >= 86340 then 1
            when whole_months(cast(service_start as date), cast(service_end as date)) = 0
                and whole_months(cast(service_start as date), cast(service_end as date) + 1) > 0 then 1
            else 0
        end as until_on
    from mart_transactions
    where revenue <> 0
),
invoiced as (
    select
        month, sum(case when recurs and not is_refund then revenue else 0 end) as invoiced,
        sum(case when not recurs and not is_refund then revenue else 0 end) as other,
        sum(case when is_refund then revenue else 0 end) as refunds, sum(revenue) as revenue
    from lines
    group by month
),
periods as (
    select cast(revenue as decimal(28, 12)) as amount, from_on, until_on from lines where recurs and not is_refund and spread
),
due as (                                             -- what is due until each month end, less what was at its beginning: parts add up
    select
        c.month,
        sum(
            monthly(p.amount, cast(date_diff('day', p.from_on, least(p.until_on, cast(c.month_end as date))) as decimal(4, 0)),
                    cast(date_diff('day', p.from_on, p.until_on) as decimal(4, 0)))
            - case
                when p.from_on < cast(c.month_start as date)
                    then monthly(p.amount, cast(date_diff('day', p.from_on, cast(c.month_start as date)) as decimal(4, 0)),
                                 cast(date_diff('day', p.from_on, p.until_on) as decimal(4, 0)))
                else 0
            end
        ) as amount
    from periods as p
    cross join run
    inner join calendar as c
        on c.month between run.report_month - 12 and run.report_month
            and p.from_on < cast(c.month_end as date) and p.until_on > cast(c.month_start as date)
    group by c.month
),
at_once as (                                         -- without a period of service: due on the day of the invoice
    select month, sum(revenue) as amount from lines where recurs and not is_refund and not spread group by month
),
recurring as (
    select month, sum(mrr_end) as mrr from mart_customer_months group by month
)
select
    c.label as period, c.month, cast(coalesce(r.mrr, 0) as double) as mrr,
    cast(coalesce(d.amount, 0) - coalesce(r.mrr, 0) as double) as within_month,
    cast(coalesce(o.amount, 0) as double) as without_period,
    cast(coalesce(d.amount, 0) + coalesce(o.amount, 0) as double) as recognised,
    cast(coalesce(i.invoiced, 0) - coalesce(d.amount, 0) - coalesce(o.amount, 0) as double) as deferred,
    cast(coalesce(i.invoiced, 0) as double) as invoiced, cast(coalesce(i.other, 0) as double) as other,
    cast(coalesce(i.refunds, 0) as double) as refunds, cast(coalesce(i.revenue, 0) as double) as revenue
from calendar as c
cross join run
left join invoiced as i on i.month = c.month
left join due as d on d.month = c.month
left join at_once as o on o.month = c.month
left join recurring as r on r.month = c.month
where c.month between run.report_month - 12 and run.report_month and c.month >= (select min(month) from mart_customer_months)
order by c.month
