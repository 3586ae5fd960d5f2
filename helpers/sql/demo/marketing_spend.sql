-- one row per month, channel with spend and kind of spend
with won as (
    select month_no, channel, count(*) as customers from people group by month_no, channel
),
spent as (                                               -- media follow the customers won; people and tools the plan
    select
        starts_at,
        ends_at,
        channels.channel,
        coalesce(won.customers, 0) * media_cost
        * (90 + cast('0x' || substr(md5(concat_ws(':', seed, months.month_no, channels.channel)), 1, 8) as bigint) % 21)
            as media_cents,                              -- wobbles by a tenth
        (last_customer - first_customer + 1) * (share_to - share_from) * media_cost // 100 as planned_cents
    from months
    cross join channels
    cross join settings
    left join won on won.month_no = months.month_no and won.channel = channels.channel
    where media_cost > 0
)
select
    cast(starts_at as date) as period_start,
    cast(ends_at - to_days(1) as date) as period_end,
    channel,
    cast(cast(case kind
        when 'media' then media_cents when 'people' then planned_cents * 30 // 100 else planned_cents * 10 // 100
    end as decimal(18, 0)) * 0.01 as decimal(18, 2)) as amount,
    kind
from spent
cross join (values ('media'), ('people'), ('tools')) as kinds (kind)
order by period_start, channel, kind
