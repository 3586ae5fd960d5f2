-- one row per customer and programme due: contacted, or held out at random
with first_spell as (
    select customer_no, max(ends_at) as left_at, bool_or(leaves) as leaves from periods where spell = 1 group by customer_no
),
due as (
    select
        *,
        case
            when at_month is not null
                then created_at + to_months(cast(at_month as integer)) + to_days(cast(at_day as integer))
            when leaves then left_at + to_days(cast(at_day as integer))
        end as touched_at,
        md5(concat_ws(':', seed, customer_no, programme)) as ink,
        cast('0x' || substr(ink, 1, 8) as bigint) % 10000 < holdout_share as is_held_out
    from customers
    join first_spell using (customer_no)
    cross join (select * exclude (holdout), holdout as holdout_share from programmes)
    cross join settings
    where not is_internal and (not marketing or marketing_consent)
)
select
    printf('K-%05d-%s', customer_no, programme) as touch_id,
    customer_id,
    touched_at,
    programme,
    kind,
    cast(if(is_held_out, 0, cost_cents) * 0.01 as decimal(18, 2)) as cost,
    is_held_out as holdout,
    case when not is_held_out then if(cast('0x' || substr(ink, 9, 8) as bigint) % 10000 < responds, 'accepted', 'none') end as response
from due
where touched_at < as_of and (at_month is null or touched_at < left_at)
order by touch_id
