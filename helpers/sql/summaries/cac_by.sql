-- one row per month of joining, dimension, member and channel: media spend that names the member, all other spend under
-- (unattributed), and customers acquired
with spent as (                                     -- spend of a month meets the customers that come `cac_lag_months` later
    select
        s.month + run.cac_lag_months as month,
        case when s.kind = 'media' then s.channel else '(unattributed)' end as channel,
        case when s.kind = 'media' then coalesce(s.campaign, '(unattributed)') else '(unattributed)' end as campaign,
        case when s.kind = 'media' then s.amount else 0 end as media,
        case when s.kind = 'media' then 0 else s.amount end as other, 0 as new_customers
    from mart_marketing_spend as s cross join run
),
won as (
    select
        started_month as month, coalesce(channel, '(unattributed)') as channel,
        coalesce(campaign, '(unattributed)') as campaign, coalesce(segment, '(unattributed)') as segment,
        coalesce(first_plan_id, '(unattributed)') as plan_id, coalesce(country, '(unattributed)') as country,
        {% for name in dimensions %}coalesce("{{ name }}", '(unattributed)') as "{{ name }}", {% endfor -%}
        0 as media, 0 as other, 1 as new_customers
    from mart_customers
    where is_new
),
parts as (
    select month, 'channel' as dimension, channel as member, channel, media, other, new_customers from spent
    union all
    select month, 'campaign', campaign, channel, media, other, new_customers from spent
    union all
    select month, 'channel', channel, channel, media, other, new_customers from won
    union all
    select month, 'campaign', campaign, channel, media, other, new_customers from won
    union all
    select month, 'segment', segment, channel, media, other, new_customers from won
    union all
    select month, 'plan', plan_id, channel, media, other, new_customers from won
    {%- for name in ["country"] + dimensions %}
    union all
    select month, '{{ name }}', "{{ name }}", channel, media, other, new_customers from won
    {%- endfor %}
)
select
    p.month, p.dimension, p.member, p.channel, cast(sum(p.media) as decimal(24, 4)) as media,
    cast(sum(p.other) as decimal(24, 4)) as other,
    cast(sum(p.new_customers) as bigint) as new_customers
from parts as p
cross join run
where p.month between run.report_month - 5 and run.report_month
group by p.month, p.dimension, p.member, p.channel
order by p.month, p.dimension, p.member, p.channel
