-- one row per plan and months from bill to bill at the start, first spell (start, entry, age, end) and months back: customers, who of them was there at that month's end (paying or paused), and what they paid
with ends as (                                       -- the month ends that are compared: this one and 1, 3 and 6 before it
    select month, report_month - month as back from calendar cross join run where report_month - month in (0, 1, 3, 6)
),
paid as (
    select m.customer_id, e.back, m.mrr_end as mrr
    from mart_customer_months as m
    inner join ends as e on e.month = m.month
    where m.active_end or m.paused_end > 0
),
spells as (
    select
        k.customer_id, k.first_plan_id as plan_id, k.first_term as term, k.started_month, k.is_new, k.observed_months as observed, k.entry_months as entered,
        case when k.spell_ended then k.spell_months end as end_age,
        -- so many months ago the end had come already, and its month of life was complete
        case when k.spell_ended then least(k.observed_months - k.spell_months, run.report_month - month_of(k.ended_on)) end as ended_for
    from mart_customers as k cross join run
    where k.first_plan_id is not null
)
select
    s.plan_id, s.term, s.started_month, s.is_new, s.observed, s.entered, cast(s.end_age as integer) as end_age,
    cast(s.ended_for as integer) as ended_for, cast(e.back as integer) as back, count(*) as people, count(p.mrr) as there,
    coalesce(sum(p.mrr), 0) as mrr, coalesce(sum(times(p.mrr, p.mrr)), 0) as mrr_squared,
    -- beside the report month's, for those who were there at both ends
    count(case when p.mrr is not null then n.mrr end) as there_both, coalesce(sum(case when p.mrr is not null then n.mrr end), 0) as mrr_now,
    coalesce(sum(case when n.mrr is not null then p.mrr end), 0) as mrr_then,
    coalesce(sum(times(p.mrr, n.mrr)), 0) as mrr_product
from spells as s
cross join ends as e
left join paid as p on p.customer_id = s.customer_id and p.back = e.back
left join paid as n on n.customer_id = s.customer_id and n.back = 0
group by s.plan_id, s.term, s.started_month, s.is_new, s.observed, s.entered, s.end_age, s.ended_for, e.back
order by back, plan_id, term, started_month, is_new, observed, entered, end_age, ended_for
