-- one row per account among the twenty of most value, and one for all others: what it brought, is expected to bring, and both
with ranked as (                                     -- where nothing is predicted, by what was brought so far
    select a.*, row_number() over (order by coalesce(total, historic) desc, customer_id) as nth
    from mart_account_value as a
),
places as (
    select
        least(nth, 21) as place, min(customer_id) as customer_id, count(*) as customers,
        count(case when modelled then 1 end) as predicted_for,
        sum(historic) as historic, sum(predicted) as predicted, sum(total) as total, sum(coalesce(total, historic)) as worth
    from ranked
    group by least(nth, 21)
)
select
    cast(place as integer) as place, case when place <= 20 then customer_id else '(all others)' end as customer_id,
    customers, predicted_for, historic, predicted, total,
    case when sum(worth) over () > 0 then cast(worth as double) / cast(sum(worth) over () as double) end as share
from places
order by place
