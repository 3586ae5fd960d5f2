-- one row per R and F score: customers and their spend
select r, f, count(*) as customers, sum(monetary) as revenue
from mart_rfm_customers
where r is not null
group by r, f
order by r, f
