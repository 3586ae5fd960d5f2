-- one row per customer: who joins when, from where, on which tier and terms
with numbered as (
    select
        customer_no,
        md5(concat_ws(':', seed, customer_no, 'origin')) as ink,
        md5(concat_ws(':', seed, customer_no, 'profile')) as profile
    from (select seed, unnest(range(1, customers + 1)) as customer_no from settings)
),
drawn as (
    select
        customer_no,
        cast('0x' || substr(ink, 1, 8) as bigint) as moment,
        cast('0x' || substr(ink, 9, 8) as bigint) % 10000 as channel_draw,
        cast('0x' || substr(ink, 17, 8) as bigint) % 10000 as tier_draw,
        cast('0x' || substr(ink, 25, 8) as bigint) % 10000 as yearly_draw,
        cast('0x' || substr(profile, 1, 4) as bigint) as name_draw,
        cast('0x' || substr(profile, 5, 4) as bigint) as country_draw,
        cast('0x' || substr(profile, 9, 4) as bigint) as campaign_draw,
        cast('0x' || substr(profile, 13, 4) as bigint) % 10 as segment_draw,
        cast('0x' || substr(profile, 17, 8) as bigint) % 10000 as trial_draw,
        cast('0x' || substr(profile, 25, 8) as bigint) % 10000 as discount_draw
    from numbered
),
placed as (
    select
        drawn.*,
        month_no,
        channel,
        starts_at + to_microseconds(1000000 * (moment % (86400 * date_diff('day', starts_at, ends_at)))) as created_at,
        case
            when tier_draw < upto_starter then 1
            when tier_draw < upto_plus then 2
            when tier_draw < upto_team then 3
            else 4
        end as first_tier
    from drawn
    join months on customer_no between first_customer and last_customer
    join channels on channel_draw >= share_from and channel_draw < share_to
)
select
    customer_no,
    printf('C-%05d', customer_no) as customer_id,
    month_no,
    created_at,
    ['Amber', 'Birch', 'Cedar', 'Delta', 'Ember', 'Fjord', 'Grove', 'Harbor'][1 + name_draw % 8] || ' '
    || ['Labs', 'Works', 'Studio', 'Foods', 'Media', 'Tools', 'Travel', 'Health'][1 + name_draw // 8 % 8] || ' '
    || customer_no as display_name,
    case
        when first_tier = 4 then ['mid', 'enterprise'][1 + segment_draw // 4 % 2]
        when first_tier = 3 then ['smb', 'mid'][1 + segment_draw // 5 % 2]
        else ['smb', 'mid'][1 + segment_draw // 9 % 2]
    end as segment,
    ['US', 'US', 'US', 'GB', 'DE', 'FR', 'CA', 'NL'][1 + country_draw % 8] as country,
    channel,
    case
        when channel = 'search' then ['brand', 'generic', 'competitor'][1 + campaign_draw % 3]
        when channel = 'social' then ['lookalike', 'retargeting'][1 + campaign_draw % 2]
    end as campaign,
    first_tier,
    if(yearly_draw < yearly_share, 12, 1) as period_months,
    trial_draw < 2000 and yearly_draw >= yearly_share as has_trial,
    discount_draw < 1500 as has_discount
from placed
join tiers on tier = first_tier
