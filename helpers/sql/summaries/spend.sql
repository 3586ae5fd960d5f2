-- one row per month and channel: spend by kind, and the customers acquired through the channel
with spent as (
    select
        month, channel, sum(amount) as loaded, sum(case when kind = 'media' then amount else 0 end) as media
    from mart_marketing_spend
    group by month, channel
),
acquired as (
    select started_month as month, coalesce(channel, '(unattributed)') as channel, count(*) as new_customers
    from mart_customers
    where is_new
    group by started_month, coalesce(channel, '(unattributed)')
)
select
    coalesce(s.month, a.month) as month, coalesce(s.channel, a.channel) as channel,
    coalesce(s.media, 0) as media, coalesce(s.loaded, 0) as loaded, coalesce(a.new_customers, 0) as new_customers
from spent as s
full join acquired as a on a.month = s.month and a.channel = s.channel
order by 1, 2
