-- one row per billing period begun before as_of: the tier then, and whether the customer leaves at its end
with recursive walk as (
    select                                               -- no period yet: every real one is drawn below
        customer_no, 1 as spell, -period_months as age, period_months, first_tier as origin, first_tier as tier,
        created_at as spell_at, false as leaves, 0 as move, 0 as away_days
    from people
    union all
    select
        customer_no, spell, age, drawn.period_months, drawn.origin, drawn.tier, spell_at,
        leave_draw < leave_chance as leaves,
        case
            when leave_draw < leave_chance then 0
            when move_draw < if(drawn.period_months = 1, up_monthly, up_yearly) then 1
            when move_draw >= 10000 - if(drawn.period_months = 1, down_monthly, down_yearly) then -1
            else 0
        end as move,
        if(return_draw < 1200, 61 + cast(days_draw as integer), 0) as away_days    -- 0: never returns
    from (
        select
            *,
            cast('0x' || substr(ink, 1, 8) as bigint) % 10000 as leave_draw,
            cast('0x' || substr(ink, 9, 8) as bigint) % 10000 as move_draw,
            cast('0x' || substr(ink, 17, 8) as bigint) % 10000 as return_draw,
            cast('0x' || substr(ink, 25, 8) as bigint) % 120 as days_draw
        from (
            select *, md5(concat_ws(':', seed, customer_no, 'period', spell, age)) as ink
            from (
                select
                    customer_no,
                    if(leaves, spell + 1, spell) as spell,
                    if(leaves, 0, age + period_months) as age,
                    period_months,
                    if(leaves, tier, origin) as origin,
                    tier + move as tier,
                    if(leaves, spell_at + to_months(age + period_months) + to_days(away_days), spell_at) as spell_at
                from walk
                where not leaves or away_days > 0
            )
            cross join settings
            where spell_at + to_months(age) < as_of
        )
    ) as drawn
    join tiers on tiers.tier = drawn.tier
    join hazards
        on hazards.origin = drawn.origin and hazards.period_months = drawn.period_months
        and drawn.age + drawn.period_months between age_from and age_to
)
select
    customer_no,
    count(*) filter (where is_new_row) over path as row_no,
    spell,
    age,
    period_months,
    origin,
    tier,
    spell_at,
    spell_at + to_months(age) as starts_at,
    spell_at + to_months(age + period_months) as ends_at,
    leaves
from (
    select *, age = 0 or tier != lag(tier) over (partition by customer_no order by spell, age) as is_new_row
    from walk
    where age >= 0
)
window path as (partition by customer_no order by spell, age)
