-- one row per account among the five that lost most in 12 months, and one for all that lost: margin less cost to serve below 0
with lost as (
    select
        customer_id, tickets_12m, cost_to_serve_12m, contribution_12m,
        row_number() over (order by contribution_12m, customer_id) as nth
    from mart_account_value
    where contribution_12m < 0
),
places as (
    select
        cast(nth as integer) as place, customer_id, 1 as customers, tickets_12m, cost_to_serve_12m, contribution_12m
    from lost
    where nth <= 5
    union all
    select 6, '(all below 0)', count(*), sum(tickets_12m), sum(cost_to_serve_12m), sum(contribution_12m)
    from lost
    having count(*) > 0
)
select place, customer_id, customers, tickets_12m, cost_to_serve_12m, contribution_12m
from places
order by place
