-- one row: subscriptions that pay at the report month's end, and those of them at their own amount, for want of a list price
select count(distinct s.subscription_id) as paying, count(distinct case when not s.is_listed then s.subscription_id end) as own_amount
from mart_subscriptions as s
cross join run
where s.pays and s.paid_from < run.as_of and s.paid_until >= run.as_of
