-- one row per month of the last 13 in which free trials of subscriptions ended: how many, and after how many a paid time began
with trials as (
    select
        subscription_id, max(trial_ended_at) as ended_at,
        max(case when pays and paid_until > trial_ended_at then 1 else 0 end) as converted
    from mart_subscriptions
    where trial_ended_at > started_at
    group by subscription_id
)
select c.label as period, count(*) as trials, cast(sum(t.converted) as bigint) as converted
from trials as t
cross join run
inner join calendar as c on t.ended_at >= c.month_start and t.ended_at < c.month_end
where c.month > run.report_month - 13
group by c.label
order by 1
