-- one row: the median over customers of the coefficient of variation of the gaps between their purchase days; what was bought
with gaps as (
    select customer_id, date_diff('day', lag(day) over (partition by customer_id order by day), day) as gap
    from mart_customer_days
    where purchased
),
spread as (
    select customer_id, count(gap) as n, sum(gap) as total, sum(gap * gap) as squares
    from gaps
    where gap is not null
    group by customer_id
    having count(gap) >= 2
),
squared as (                                        -- variance over squared mean: n (n Σg² − (Σg)²) ÷ ((n − 1) (Σg)²)
    select
        customer_id,
        cast(n * (n * squares - total * total) as double) / cast((n - 1) * total * total as double) as cv_squared
    from spread
),
ranked as (
    select cv_squared, row_number() over (order by cv_squared, customer_id) as nth, count(*) over () as customers from squared
)
select
    max(customers) as customers, sqrt(max(cv_squared)) as median_cv,
    (select coalesce(sum(revenue), 0) from mart_transactions where bought) as bought_net,        -- after refunds
    (select coalesce(sum(revenue), 0) from mart_transactions where bought and sale) as bought_gross
from ranked
where nth = (customers + 1) // 2
