-- one row per month of the last 13: customers with scores, revenue, and what Champions hold of it
select
    c.label as period, count(*) as customers, sum(r.monetary) as revenue,
    sum(case when r.segment = 'Champions' then r.monetary else 0 end) as champions_revenue
from mart_rfm_months as r
inner join calendar as c on c.month = r.month
where r.r is not null
group by c.label
order by c.label
