-- one row per month and span (1 or 12 months): base MRR of then, what is left of it, and the sums its interval needs
with spans as (
    select 1 as span
    union all select 12
),
pairs as (
    select
        c.month, p.span, b.customer_id, cast(b.mrr_end as decimal(20, 4)) as base,
        -- a month later at the rates of its start, so that no customer is lost to a rate; twelve months later as it is
        cast(coalesce(case p.span when 1 then n.mrr_end_fixed else n.mrr_end end, 0) as decimal(20, 4)) as now,
        cast(least(coalesce(case p.span when 1 then n.mrr_end_fixed else n.mrr_end end, 0), b.mrr_end) as decimal(20, 4)) as kept
    from calendar as c
    cross join run
    cross join spans as p
    inner join mart_customer_months as b on b.month = c.month - p.span and b.mrr_end > 0
    left join mart_customer_months as n on n.customer_id = b.customer_id and n.month = c.month
    where c.month between run.report_month - 12 and run.report_month
)
select
    month, span, count(*) as customers,
    sum(base) as base, sum(kept) as kept, sum(now) as now,
    sum(cast(base * base as decimal(38, 4))) as base_base,
    sum(cast(kept * base as decimal(38, 4))) as kept_base, sum(cast(kept * kept as decimal(38, 4))) as kept_kept,
    sum(cast(now * base as decimal(38, 4))) as now_base, sum(cast(now * now as decimal(38, 4))) as now_now
from pairs
group by month, span
order by month, span
