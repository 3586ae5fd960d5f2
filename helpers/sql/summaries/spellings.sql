-- one row per kind of member and spelling that differs from another one by case or blanks alone: customers and media spend
with members as (
    select 'channel' as dimension, channel as member, 1 as customers, 0 as spend from mart_customers
    union all
    select 'campaign', campaign, 1, 0 from mart_customers
    union all
    select 'segment', segment, 1, 0 from mart_customers
    union all
    {%- for name in ["country"] + dimensions %}
    select '{{ name }}', "{{ name }}", 1, 0 from mart_customers
    union all
    {%- endfor %}
    select 'plan', first_plan_id, 1, 0 from mart_customers
    union all
    select 'channel', channel, 0, amount from mart_marketing_spend where kind = 'media'
    union all
    select 'campaign', campaign, 0, amount from mart_marketing_spend where kind = 'media'
),
spelled as (
    select
        dimension, member, folded_id(member) as meant, cast(sum(customers) as bigint) as customers,
        cast(sum(spend) as decimal(24, 4)) as media_spend
    from members
    where member is not null
    group by dimension, member
),
counted as (
    select s.*, count(*) over (partition by dimension, meant) as spellings from spelled as s
)
select dimension, meant, member, customers, media_spend
from counted
where spellings > 1
order by dimension, meant, member
