-- one row per month and measure: what the books say, counted from the company itself in USD, refunds above zero
with booked as (
    select
        12 * year(moment) + month(moment) as month_key, type, round(amount * coalesce(rate, 1), 4) as usd
    from (
        select
            try_cast(transacted_at as timestamp) as moment, type, status, currency,
            cast(try_cast(amount as decimal(18, 2)) as decimal(18, 4)) as amount
        from transactions
    )
    left join fx_rates on currency = from_currency and date = cast(date_trunc('month', moment + to_days(1)) as date) - 1
    where status = 'paid'
),
paying as (                                              -- MRR at the end of each month by customer, discounts off, pauses nil
    select
        month_no,
        customer_no,
        sum(round(cast(
            (unit_amount * quantity - if(discount_ends_at < month_end, 0, coalesce(discount_amount, 0)))
            * if("interval" = 'year', 0.083333333333, 1) as decimal(18, 8)
        ) * coalesce(rate, 1), 4)) as mrr
    from subscriptions
    join (select month_no, ends_at as month_end from months) as ends
        on greatest(valid_from, trial_ended_at) < month_end
        and coalesce(least(valid_to, ended_at) >= month_end, true)
        and not coalesce(paused_at < month_end and coalesce(resumed_at >= month_end, true), false)
    left join fx_rates on currency = from_currency and date = cast(month_end as date) - 1
    group by month_no, customer_no
)
select cast(starts_at as date) as month, measure, cast(coalesce(sum(amount), 0) as decimal(18, 2)) as amount
from months
cross join (values ('net_revenue'), ('refunds'), ('active_customers'), ('mrr'), ('marketing_spend')) as measures (measure)
left join (
    select month_no, 'net_revenue' as measure, usd as amount from booked join months using (month_key)
    union all
    select month_no, 'refunds', -usd from booked join months using (month_key) where type = 'refund'
    union all
    select month_no, unnest(['active_customers', 'mrr']), unnest([1, mrr]) from paying where mrr > 0
    union all
    select month_no, 'marketing_spend', amount from marketing_spend join months on period_start = starts_at
) as amounts using (month_no, measure)
group by starts_at, measure
order by month, measure
