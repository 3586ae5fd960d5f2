-- one row per line of an irregular sale: services and one-off reports
with traits as (
    select
        customer_no,
        customer_id,
        created_at,
        currency,
        tax_percent,
        order_rates[1 + cast('0x' || substr(ink, 9, 8) as bigint) % 10] as rate,
        order_stops[1 + cast('0x' || substr(ink, 17, 8) as bigint) % 10] as stop_chance,
        order_amounts[1 + cast('0x' || substr(ink, 25, 8) as bigint) % 10] as usual_amount
    from (select *, md5(concat_ws(':', seed, customer_no, 'buyer')) as ink from customers cross join settings)
    cross join rates
    where cast('0x' || substr(ink, 1, 8) as bigint) % 10000 < buyers and not is_internal
),
weeks as (
    select
        traits.*,
        week,
        md5(concat_ws(':', seed, customer_no, 'week', week)) as ink
    from (
        select traits.*, seed, unnest(range(1 + date_diff('day', created_at, as_of) // 7)) as week
        from traits
        cross join settings
    ) as traits
),
bought as (
    select
        *,
        created_at + to_days(cast(7 * week + cast('0x' || substr(ink, 17, 8) as bigint) % 7 as integer))
        + to_minutes(cast('0x' || substr(ink, 17, 8) as bigint) // 7 % 1440) as ordered_at,
        cast('0x' || substr(ink, 9, 8) as bigint) % 10000 < stop_chance as is_last,
        cast('0x' || substr(ink, 25, 4) as bigint) as product_draw,
        cast('0x' || substr(ink, 29, 4) as bigint) % 81 + 60 as percent    -- of the usual amount: 60 to 140
    from weeks
    where cast('0x' || substr(ink, 1, 8) as bigint) % 10000 < rate
),
kept as (
    select *
    from bought
    cross join settings
    where ordered_at < as_of
    qualify count(*) filter (where is_last) over (
        partition by customer_no order by week rows between unbounded preceding and 1 preceding
    ) = 0
),
lines as (
    select *, 1 as line_no, cast(usual_amount * percent as decimal(18, 2)) * 0.01 as amount from kept
    union all
    select *, 2 as line_no, cast(usual_amount * 30 as decimal(18, 2)) * 0.01 as amount
    from kept
    where product_draw % 20 = 0
)
select
    printf('O-%05d-%03d', customer_no, week) as transaction_id,
    line_no,
    customer_id,
    ordered_at as transacted_at,
    cast(amount as decimal(18, 2)) as amount,
    ['training', 'setup', 'review', 'report-benchmark', 'report-market'][1 + (product_draw // 20 + line_no) % 5]
        as product_id,
    if(product_id like 'report-%', 'one_off', 'service') as item_type,
    currency,
    tax_percent
from lines
