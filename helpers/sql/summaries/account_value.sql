-- one row per account among the twenty of most value, and one for all others: what it brought, is expected to bring, and both
with ranked as (
    select a.*, row_number() over (order by coalesce(total, historic) desc, customer_id) as nth
    from mart_account_value as a
)
select
    cast(least(nth, 21) as integer) as place, case when min(nth) <= 20 then min(customer_id) else '(all others)' end as customer_id,
    count(*) as customers, count(case when modelled then 1 end) as predicted_for,
    sum(historic) as historic, sum(predicted) as predicted, sum(total) as total
from ranked
group by least(nth, 21)
order by place
