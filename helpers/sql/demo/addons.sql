-- one row per customer and addon bought
with first_spell as (
    select customer_no, min(spell_at) as spell_at, max(ends_at) as left_at
    from periods
    where spell = 1
    group by customer_no
),
drawn as (
    select
        *,
        cast('0x' || substr(ink, 1, 8) as bigint) % 10000 as attach_draw,
        spell_at + to_months(cast(cast('0x' || substr(ink, 9, 8) as bigint) % 10 as integer)) as started_at,
        spell_at + to_months(cast(13 + cast('0x' || substr(ink, 17, 8) as bigint) % 30 as integer)) as dropped_at
    from (
        select *, md5(concat_ws(':', seed, customer_no, addon_id)) as ink
        from customers
        join first_spell using (customer_no)
        join tiers on tier = first_tier
        cross join (select plan_id as addon_id, list_price from plans where kind = 'addon')
        cross join settings
        where not is_internal
    )
)
select
    customer_id,
    addon_id,
    started_at,
    if(least(dropped_at, left_at) < as_of, least(dropped_at, left_at), null) as ended_at,
    list_price as amount,
    'month' as "interval",
    currency,
    tax_percent
from drawn
where attach_draw < attach and started_at < least(left_at, as_of)
order by customer_id, addon_id
