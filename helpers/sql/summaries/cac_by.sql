-- one row per month of joining, dimension, member and channel: media spend that names the member, and customers acquired
with spent as (                                     -- spend of a month meets the customers that come `cac_lag_months` later
    select
        s.month + run.cac_lag_months as month, s.channel, coalesce(s.campaign, '(unattributed)') as campaign,
        s.amount as media, 0 as new_customers
    from mart_marketing_spend as s cross join run
    where s.kind = 'media'
),
won as (
    select
        started_month as month, coalesce(channel, '(unattributed)') as channel,
        coalesce(campaign, '(unattributed)') as campaign, coalesce(segment, '(unattributed)') as segment,
        coalesce(first_plan_id, '(unattributed)') as plan_id, coalesce(country, '(unattributed)') as country,
        {% for name in dimensions %}coalesce("{{ name }}", '(unattributed)') as "{{ name }}", {% endfor -%}
        0 as media, 1 as new_customers
    from mart_customers
    where is_new
),
parts as (
    select month, 'channel' as dimension, channel as member, channel, media, new_customers from spent
    union all
    select month, 'campaign', campaign, channel, media, new_customers from spent
    union all
    select month, 'channel', channel, channel, media, new_customers from won
    union all
    select month, 'campaign', campaign, channel, media, new_customers from won
    union all
    select month, 'segment', segment, channel, media, new_customers from won
    union all
    select month, 'plan', plan_id, channel, media, new_customers from won
    {%- for name in ["country"] + dimensions %}
    union all
    select month, '{{ name }}', "{{ name }}", channel, media, new_customers from won
    {%- endfor %}
)
select
    p.month, p.dimension, p.member, p.channel, cast(sum(p.media) as decimal(24, 4)) as media,
    cast(sum(p.new_customers) as bigint) as new_customers
from parts as p
cross join run
where p.month between run.report_month - 5 and run.report_month
group by p.month, p.dimension, p.member, p.channel
order by p.month, p.dimension, p.member, p.channel
