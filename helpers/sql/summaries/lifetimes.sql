-- one row: completed first spells and the sum of their months, for the naive mean
select
    count(*) as customers, count(case when spell_ended then 1 end) as ended,
    coalesce(sum(case when spell_ended then spell_months end), 0) as months,
    coalesce(sum(case when spell_ended then spell_months * spell_months end), 0) as months_squared,
    min(case when ended_on is not null then month_of(ended_on) end) as first_end_month
from mart_customers
where started_at is not null
