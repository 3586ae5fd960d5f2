-- one row per customer and month: with transactions, and with MRR at an end of it, or, where only sales are known, of a churn
with returned as (                                   -- back so long after the last end that the policy counts them as new
    select s.customer_id, cast(month_of(s.started_at) as integer) as month
    from mart_spells as s
    cross join run
    inner join mart_spells as p on p.customer_id = s.customer_id and p.spell = s.spell - 1
    where run.reactivation_days is not null and away_for(p.ended_on, p.ended_second, s.started_at, run.reactivation_days)
),
paid as (                                            -- what is known of a month from each side, to be added up
    select
        customer_id, month, false as new_again, 1 as days, orders, cast(sold as integer) as sale_days, revenue,
        cast(0 as decimal(18, 4)) as mrr_start, cast(0 as decimal(18, 4)) as mrr_end, cast(0 as decimal(18, 4)) as mrr_end_fixed,
        cast(0 as decimal(18, 4)) as paused_start, cast(0 as decimal(18, 4)) as paused_end
    from mart_customer_days cross join run
    where run.has_subscriptions
    union all
    select customer_id, month, false, 0, 0, 0, 0, 0, mrr, mrr_fixed, 0, paused_mrr from mart_subscription_months
    union all
    select customer_id, month + 1, false, 0, 0, 0, 0, mrr, 0, 0, paused_mrr, 0
    from mart_subscription_months cross join run
    where month < run.report_month
    union all
    select customer_id, month, true, 0, 0, 0, 0, 0, 0, 0, 0, 0 from returned cross join run where run.has_subscriptions
),
bought as (                                          -- the same of sales alone; live: within a spell all the month
    select
        customer_id, month, false as new_again, true as traded, orders, sold, revenue,
        first_sale_at, case when sold then cast(month_of(day + run.inactive_days) as integer) end as active_to,
        cast(null as timestamp) as begun_at, false as live_start, false as live_end
    from mart_customer_days cross join run
    where not run.has_subscriptions
    union all
    select customer_id, cast(month_of(started_at) as integer), false, null, 0, null, 0, null, null, started_at, false, false
    from mart_spells cross join run
    where not run.has_subscriptions
    union all
    select
        customer_id, cast(month_of(ended_on) as integer), false, null, 0, null, 0, null, null, null,
        month_of(started_at) < month_of(ended_on), false
    from mart_spells cross join run
    where not run.has_subscriptions and ended_on < cast(run.as_of as date)
    union all                                        -- days without a sale say nothing of the spell that they lie in
    select d.customer_id, d.month, false, null, 0, null, 0, null, null, null, true, true
    from mart_customer_days as d
    cross join run
    inner join mart_spells as s
        on s.customer_id = d.customer_id and d.month > month_of(s.started_at) and d.month < month_of(s.ended_on)
    where not run.has_subscriptions and not d.sold
    union all
    select customer_id, month, true, null, 0, null, 0, null, null, null, false, false from returned cross join run where not run.has_subscriptions
)
select
    customer_id, cast(month as integer) as month, cast(sum(days) as bigint) as days, cast(sum(orders) as bigint) as orders,
    cast(sum(sale_days) as bigint) as sale_days, cast(sum(revenue) as decimal(24, 4)) as revenue,
    sum(mrr_start) > 0 as active_start, sum(mrr_end) > 0 as active_end,
    cast(sum(mrr_start) as decimal(18, 4)) as mrr_start, cast(sum(mrr_end) as decimal(18, 4)) as mrr_end,
    cast(sum(mrr_end_fixed) as decimal(18, 4)) as mrr_end_fixed,       -- what it would be at the rates of the month's start
    cast(sum(paused_start) as decimal(18, 4)) as paused_start, cast(sum(paused_end) as decimal(18, 4)) as paused_end,
    max(new_again) as new_again
from paid
group by customer_id, month
union all
select
    customer_id, month, count(traded), cast(sum(orders) as bigint),
    count(case when sold then 1 end), cast(sum(revenue) as decimal(24, 4)),
    -- active by sales: the first sale of the month began no spell, or a spell from before ended in the month
    max(live_start) or coalesce(min(first_sale_at) < min(begun_at), min(first_sale_at) is not null),
    max(live_end) or coalesce(max(active_to) > month, false),
    0, 0, 0, 0, 0, max(new_again)
from bought
group by customer_id, month
