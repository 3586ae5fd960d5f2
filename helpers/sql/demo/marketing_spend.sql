-- one row per month, channel with spend, kind of spend and campaign
with won as (
    select month_no, channel, coalesce(campaign, '') as campaign, count(*) as customers
    from customers
    where not is_internal
    group by month_no, channel, campaign
),
campaigns as (select distinct channel, campaign from won),
spent as (                                               -- media follow the customers won; people and tools the plan
    select
        starts_at,
        ends_at,
        channels.channel,
        campaign,
        'media' as kind,
        coalesce(won.customers, 0) * media_cost
        * (90 + cast('0x' || substr(md5(concat_ws(':', seed, months.month_no, channel, campaign)), 1, 8) as bigint) % 21)
            as cents                                     -- wobbles by a tenth
    from months
    cross join channels
    join campaigns using (channel)
    cross join settings
    left join won using (month_no, channel, campaign)
    union all
    select
        starts_at, ends_at, channel, '', kind,
        (last_customer - first_customer + 1) * (share_to - share_from) * media_cost // 100 * percent // 100
    from months
    cross join channels
    cross join (values ('people', 30), ('tools', 10)) as kinds (kind, percent)
)
select
    cast(starts_at as date) as period_start,
    cast(ends_at - to_days(1) as date) as period_end,
    channel,
    cast(cast(cents as decimal(18, 0)) * 0.01 as decimal(18, 2)) as amount,
    nullif(campaign, '') as campaign,
    'USD' as currency,
    kind
from spent
where channel <> 'organic'
order by period_start, channel, kind, campaign
