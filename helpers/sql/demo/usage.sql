-- one row per customer, month of a subscription and feature that was used, or tried below the tier that has it
with active as (
    select
        *,
        starts_at + to_months(cast(nth as integer)) as month_at,
        leaves and nth = period_months - 1 as is_leaving,
        md5(concat_ws(':', seed, customer_no, 'usage', spell, age, nth)) as ink
    from (
        select customer_no, spell, age, tier, period_months, starts_at, leaves, move, unnest(range(period_months)) as nth
        from periods
        where not is_paused
    )
    cross join settings
),
drawn as (
    select
        active.*,
        features.*,
        month_at + to_days(cast(cast('0x' || substr(ink, 25, 8) as bigint) % 28 as integer)) as used_at,
        cast('0x' || substr(ink, cast(1 + 6 * slot as integer), 3) as bigint) as use_draw,       -- of 4,096
        cast('0x' || substr(ink, cast(4 + 6 * slot as integer), 3) as bigint) as count_draw
    from active
    join features on tier >= tier_from - 1
)
select
    customer_id,
    cast(used_at as date) as date,
    feature,
    case
        when tier < tier_from then 1 + count_draw % 3
        else 1 + usual * (25 + count_draw % 150) * if(is_leaving, 45, 100)
        * [104, 102, 104, 100, 98, 94, 84, 78, 104, 108, 106, 90][month(used_at)] // 1000000
    end as count,
    tier < tier_from as gated,
    category,
    case when slot = 0 then cast((30 + count_draw % 60 + if(move = 1, 35, 0)) * 0.01 as decimal(18, 2)) end as limit_share
from drawn
join customers using (customer_no)
where
    used_at < as_of
    and use_draw * 10000 < 4096 * case
        when tier < tier_from then if(move = 1, 4500, 400) when is_leaving then used * 6 // 10 else used
    end
order by customer_id, date, feature
