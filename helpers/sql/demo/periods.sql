-- one row per billing period begun before as_of: tier and terms then, and whether the customer leaves at its end
with recursive walk as (
    select                                               -- no period yet: every real one is drawn below
        customer_no, 1 as spell, -period_months as age, period_months, first_tier as origin, first_tier as tier,
        created_at as spell_at, loyalty_percent, pause_from, pause_to,
        false as leaves, 0 as move, 0 as away_days, false as is_bad
    from customers
    union all
    select
        customer_no, spell, age, period_months, origin, tier, spell_at, loyalty_percent, pause_from, pause_to, leaves,
        case                                             -- nobody changes tier around a pause
            when leaves or (spell = 1 and age + period_months between pause_from and pause_to) then 0
            when move_draw < up then 1
            when move_draw >= 10000 - down then -1
            else 0
        end as move,
        if(return_draw < return_chance, 61 + cast(days_draw as integer), 0) as away_days,    -- 0: never returns
        is_bad
    from (
        select
            drawn.*,
            if(drawn.period_months = 1, up_monthly, up_yearly) as up,
            if(drawn.period_months = 1, down_monthly, down_yearly) as down,
            return_chance,
            leave_draw < leave_chance * coalesce(shock_percent, 100) * loyalty_percent
            * case when holdout_draw >= holdout then effect else 100 end
            * if(is_bad, bad_ticket_effect, 100)
            * if(
                drawn.tier = rise_tier and spell_at < rise_at
                and ends_at >= rise_at and ends_at < rise_at + to_months(cast(effect_months as integer)),
                rise_effect, 100
            ) // 1000000 as leaves                       -- of 100 million
        from (
            select
                begun.*, holdout, effect,
                cast('0x' || substr(ink, 1, 10) as bigint) % 100000000 as leave_draw,
                cast('0x' || substr(ink, 11, 7) as bigint) % 10000 as move_draw,
                cast('0x' || substr(ink, 18, 7) as bigint) % 10000 as return_draw,
                cast('0x' || substr(ink, 25, 5) as bigint) % 120 as days_draw,
                cast('0x' || substr(ink, 30, 2) as bigint) < bad_ticket as is_bad,
                case
                    when programme is not null
                        then cast('0x' || substr(md5(concat_ws(':', seed, customer_no, programme)), 1, 8) as bigint) % 10000
                end as holdout_draw
            from (
                select
                    *, md5(concat_ws(':', seed, customer_no, 'period', spell, age)) as ink,
                    spell_at + to_months(age + period_months) as ends_at
                from (
                    select
                        customer_no,
                        if(leaves, spell + 1, spell) as spell,
                        if(leaves, 0, age + period_months) as age,
                        period_months,
                        if(leaves, tier, origin) as origin,
                        tier + move as tier,
                        if(leaves, spell_at + to_months(age + period_months) + to_days(away_days), spell_at) as spell_at,
                        loyalty_percent, pause_from, pause_to
                    from walk
                    where not leaves or away_days > 0
                )
                cross join settings
                where spell_at + to_months(age) < as_of
            ) as begun
            cross join (select bad_ticket from rates)
            left join programmes
                on effect <> 100 and spell = 1 and age + period_months between effect_from and effect_to
        ) as drawn
        join tiers on tiers.tier = drawn.tier
        join hazards
            on hazards.origin = drawn.origin and hazards.period_months = drawn.period_months
            and drawn.age + drawn.period_months between age_from and age_to
        left join (select month_key, shock_percent from months) as months on month_key = 12 * year(ends_at) + month(ends_at)
        cross join (select "return" as return_chance, bad_ticket_effect from rates)
        cross join (select tier as rise_tier, effect as rise_effect, effect_months from rises)
    )
),
priced as (
    select
        walk.* exclude (pause_from, pause_to),
        spell_at + to_months(age) as starts_at,
        spell_at + to_months(age + walk.period_months) as ends_at,
        cast(
            if(walk.tier = rises.tier and spell_at + to_months(age) < rise_at, old_price, price)
            * if(walk.period_months = 1, 1, yearly_price) as decimal(18, 2)
        ) as unit_amount,
        if(walk.tier = 4, seats, 1) as quantity,
        if(walk.period_months = 1, 3, 12) as discount_months,
        case
            when is_internal then 100 when has_discount and spell = 1 and age < discount_months then discount_percent
        end as off_percent,
        has_trial and spell = 1 and age = 0 as is_trial,
        coalesce(spell = 1 and age >= walk.pause_from and age < walk.pause_to, false) as is_paused,
        cast('0x' || substr(md5(concat_ws(':', seed, walk.customer_no, 'try', spell, age)), 1, 8) as bigint) % 10000 < retry
        and not is_internal as is_retried
    from walk
    join customers using (customer_no)
    join tiers on tiers.tier = walk.tier
    cross join rises
    cross join (select yearly_price, discount_percent, retry from rates)
    cross join settings
    where age >= 0
)
select
    * exclude (is_new_row),
    count(*) filter (where is_new_row) over path as row_no,
    if(is_trial, starts_at + to_days(14), starts_at) as billed_at
from (
    select *, age = 0 or tier != lag(tier) over (partition by customer_no order by spell, age) as is_new_row
    from priced
)
window path as (partition by customer_no order by spell, age)
