-- one row per account among the twenty of most value, and one for all others: what it brought, is expected to bring, and both
with ranked as (                                     -- where nothing is predicted, by what was brought so far
    select
        a.*, case when a.tickets_12m is not null then c.open_tickets end as open_tickets, c.last_nps,
        row_number() over (order by coalesce(total, historic) desc, a.customer_id) as nth
    from mart_account_value as a
    inner join mart_customer_360 as c on c.customer_id = a.customer_id
),
places as (
    select
        least(nth, 21) as place, min(customer_id) as customer_id, count(*) as customers,
        count(case when modelled then 1 end) as predicted_for,
        sum(historic) as historic, sum(predicted) as predicted, sum(total) as total, sum(coalesce(total, historic)) as worth,
        max(predicted_low) as predicted_low, max(predicted_high) as predicted_high, max(last_nps) as last_nps,
        sum(tickets_12m) as tickets_12m, sum(open_tickets) as open_tickets, sum(cost_to_serve_12m) as cost_to_serve_12m
    from ranked
    group by least(nth, 21)
)
select
    cast(place as integer) as place, case when place <= 20 then customer_id else '(all others)' end as customer_id,
    customers, predicted_for, historic, predicted,
    case when place <= 20 then predicted_low end as predicted_low, case when place <= 20 then predicted_high end as predicted_high,
    total,
    case when sum(worth) over () > 0 then cast(worth as double) / cast(sum(worth) over () as double) end as share,
    cost_to_serve_12m, tickets_12m, open_tickets, case when place <= 20 then last_nps end as last_nps
from places
order by place
