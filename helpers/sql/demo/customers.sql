-- one row per customer: who joins when, from where, on which tier and terms
with numbered as (
    select
        customer_no,
        md5(concat_ws(':', seed, customer_no, 'origin')) as ink,
        md5(concat_ws(':', seed, customer_no, 'profile')) as profile,
        md5(concat_ws(':', seed, customer_no, 'habits')) as habits,
        md5(concat_ws(':', seed, customer_no, 'account')) as account
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
        cast('0x' || substr(profile, 25, 8) as bigint) % 10000 as discount_draw,
        cast('0x' || substr(habits, 1, 8) as bigint) % 10000 as member_draw,
        cast('0x' || substr(habits, 9, 8) as bigint) % 10000 as pause_draw,
        cast('0x' || substr(habits, 17, 8) as bigint) as pause_plan_draw,
        cast('0x' || substr(habits, 25, 8) as bigint) as seats_draw,
        cast('0x' || substr(account, 1, 8) as bigint) % 10000 as consent_draw,
        cast('0x' || substr(account, 9, 8) as bigint) % 10000 as internal_draw,
        cast('0x' || substr(account, 17, 8) as bigint) as referral_draw,
        cast('0x' || substr(account, 25, 4) as bigint) as points_draw,
        cast('0x' || substr(account, 29, 4) as bigint) as joining_draw
    from numbered
),
placed as (
    select
        drawn.*,
        month_no,
        first_customer,
        channel,
        starts_at + to_microseconds(1000000 * (moment % (86400 * date_diff('day', starts_at, ends_at)))) as created_at,
        case
            when tier_draw < starter then 1
            when tier_draw < starter + plus then 2
            when tier_draw < starter + plus + team then 3
            else 4
        end as first_tier
    from drawn
    join months on customer_no between first_customer and last_customer
    join channels on channel_draw >= share_from and channel_draw < share_to
),
terms as (
    select
        placed.*,
        country,
        currency,
        tax_percent,
        as_of,
        internal_draw < internal as is_internal,
        if(yearly_draw < yearly_share, 12, 1) as period_months,
        trial_draw < trial and yearly_draw >= yearly_share as has_trial,
        discount_draw < discount as has_discount,
        if(member_draw < member, member_effect, 100) as loyalty_percent,
        case when pause_draw < pause and yearly_draw >= yearly_share then pause_from + pause_plan_draw % pause_ages end
            as pause_from,
        pause_plan_draw // pause_ages % pause_longest + 1 as pause_months,
        seats[1 + seats_draw % len(seats)] as seats,
        created_at + to_days(cast(joining_draw % 25 as integer)) as joins_at,
        consent_draw < consent as marketing_consent
    from placed
    join tiers on tier = first_tier
    join countries on eighth = country_draw % 8
    cross join rates
    cross join settings
)
select
    customer_no,
    printf('C-%05d', customer_no) as customer_id,
    month_no,
    created_at,
    ['Amber', 'Birch', 'Cedar', 'Delta', 'Ember', 'Fjord', 'Grove', 'Harbor'][1 + name_draw % 8] || ' '
    || ['Labs', 'Works', 'Studio', 'Foods', 'Media', 'Tools', 'Travel', 'Health'][1 + name_draw // 8 % 8] || ' '
    || customer_no as display_name,
    md5(concat(lower(customer_id), '@example.com')) as email_hash,
    case
        when first_tier = 4 then ['mid', 'enterprise'][1 + segment_draw // 4 % 2]
        when first_tier = 3 then ['smb', 'mid'][1 + segment_draw // 5 % 2]
        else ['smb', 'mid'][1 + segment_draw // 9 % 2]
    end as segment,
    country,
    channel,
    case
        when channel = 'search' then ['brand', 'generic', 'competitor'][1 + campaign_draw % 3]
        when channel = 'social' then ['lookalike', 'retargeting'][1 + campaign_draw % 2]
    end as campaign,
    case when first_tier > 2 then ['Ana Ruiz', 'Ben Okafor', 'Chi Tran', 'Dora Weiss'][1 + customer_no % 4] end as owner,
    case
        when channel = 'referral' and first_customer > 1 then printf('C-%05d', 1 + referral_draw % (first_customer - 1))
    end as referred_by,                                  -- somebody who joined in an earlier month
    case
        when loyalty_percent < 100 and joins_at < as_of
            then case when points_draw % 2000 < 1200 then 'bronze' when points_draw % 2000 < 1700 then 'silver' else 'gold' end
    end as loyalty_tier,
    if(loyalty_tier is null, null, joins_at) as loyalty_joined_at,
    if(loyalty_tier is null, null, points_draw % 2000) as loyalty_points,
    is_internal,
    marketing_consent,
    currency,
    tax_percent,
    first_tier,
    period_months,
    has_trial,
    has_discount,
    loyalty_percent,
    pause_from,
    pause_from + pause_months as pause_to,
    seats
from terms
order by customer_id
