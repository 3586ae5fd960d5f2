-- one row per month of the book: customers and MRR at both ends, what moved between them, revenue, orders, buyers
{%- macro movements() %}
        sum(case when state = 'new' then mrr_end_fixed else 0 end) as mrr_new,
        sum(case when state = 'reactivated' then mrr_end_fixed else 0 end) as mrr_reactivation,
        sum(case when state = 'resumed' then mrr_end_fixed else 0 end) as mrr_resumed,
        sum(case when state = 'stayed' then greatest(mrr_end_fixed - mrr_start, 0) else 0 end) as mrr_expansion,
        sum(case when state = 'stayed' then greatest(mrr_start - mrr_end_fixed, 0) else 0 end) as mrr_contraction,
        sum(case when state = 'paused' then mrr_start else 0 end) as mrr_paused,
        sum(case when state = 'churned' then mrr_start else 0 end) as mrr_churn
{%- endmacro %}
{%- set by = "m" if policy.movements_of == "customer" else "f" %}
with states as (
    select
        m.*,
        k.started_month,
        movement(m.active_start, m.active_end, m.paused_start, m.paused_end, k.started_month = m.month or m.new_again) as state
    from mart_customer_months as m
    inner join mart_customers as k on k.customer_id = m.customer_id
),
moved as (
    select
        month,
        count(case when active_start then 1 end) as active_start, count(case when active_end then 1 end) as active_end,
        count(case when state = 'new' then 1 end) as new,
        count(case when state = 'reactivated' then 1 end) as reactivated,
        count(case when state = 'resumed' then 1 end) as resumed,
        count(case when state = 'paused' then 1 end) as paused,
        count(case when state = 'churned' then 1 end) as churned,
        sum(mrr_start) as mrr_start, sum(mrr_end) as mrr_end,
        {%- if policy.movements_of == "customer" %}{{ movements() }},{% endif %}
        sum(mrr_end - mrr_end_fixed) as mrr_fx,
        sum(case when active_end then revenue else 0 end) as revenue_active,
        sum(revenue) as revenue_known, sum(case when started_month = month then revenue else 0 end) as revenue_new, sum(orders) as orders_known,
        count(case when sale_days > 0 then 1 end) as buyers
    from states
    group by month
),
{%- if policy.movements_of == "subscription" %}
begun as (                                          -- when each subscription began, also again, where the policy counts that as new
    select b.subscription_id, month_of(b.paid_from) as month
    from (
        select
            subscription_id, paid_from,
            max(paid_until) over (
                partition by subscription_id order by paid_from, valid_from, plan_id rows between unbounded preceding and 1 preceding
            ) as before
        from mart_subscriptions
        where pays
    ) as b
    cross join run
    where b.before is null or coalesce(away_for(cast(b.before as date), second_of(b.before), b.paid_from, run.reactivation_days), false)
    group by b.subscription_id, month_of(b.paid_from)
),
sides as (
    select
        subscription_id, month, sum(mrr_start) as mrr_start, sum(mrr_end) as mrr_end, sum(mrr_end_fixed) as mrr_end_fixed,
        sum(paused_start) as paused_start, sum(paused_end) as paused_end
    from (
        select
            subscription_id, month, 0 as mrr_start, mrr as mrr_end, mrr_fixed as mrr_end_fixed, 0 as paused_start, paused_mrr as paused_end
        from mart_subscription_mrr
        union all
        select subscription_id, month + 1, mrr, 0, 0, paused_mrr, 0
        from mart_subscription_mrr cross join run
        where month < run.report_month
    ) as ends
    group by subscription_id, month
),
flows as (
    select month,{{ movements() }}
    from (
        select s.*, movement(s.mrr_start > 0, s.mrr_end > 0, s.paused_start, s.paused_end, b.month is not null) as state
        from sides as s
        left join begun as b on b.subscription_id = s.subscription_id and b.month = s.month
    ) as states
    group by month
),
{%- endif %}
acquired as (
    select started_month as month, count(*) as acquired
    from mart_customers
    where is_new
    group by started_month
),
lives as (                                          -- spells by sales that reach over a month's end: begun less ended
    select month, sum(change) as change
    from (
        select month_of(started_at) as month, 1 as change from mart_spells
        union all
        select month_of(ended_on), -1 from mart_spells
    ) as edges
    group by month
),
alive as (
    select c.month, sum(l.change) as customers
    from calendar as c
    cross join run
    inner join lives as l on l.month <= c.month
    where not run.has_subscriptions
    group by c.month
),
gone_within as (                                    -- joined or came back, and left before the month ended
    select month_of(s.started_at) as month, count(distinct s.customer_id) as in_month_churn
    from mart_spells as s
    cross join run
    left join mart_customer_months as m on m.customer_id = s.customer_id and m.month = month_of(s.started_at)
    where month_of(s.started_at) = month_of(s.ended_on) and s.ended_on < cast(run.as_of as date)
        and not coalesce(m.active_start, false) and not coalesce(m.active_end, false)
        and coalesce(m.paused_start, 0) = 0 and coalesce(m.paused_end, 0) = 0
    group by month_of(s.started_at)
),
sold as (
    select
        month, sum(revenue) as revenue, count(case when opens_order then 1 end) as orders,
        sum(case when customer_id is null then revenue else 0 end) as revenue_unattributed
    from mart_transactions
    group by month
),
bounds as (                                         -- sales may be older than the first spell, and may have no customer
    select
        coalesce(min(least(k.first_month, t.first_month)), max(run.report_month)) as first_month,  -- nobody paid or bought: one row
        min(k.first_month) + max(run.left_edge_months) as first_new_month
    from run
    cross join (select min(started_month) as first_month from mart_customers) as k
    cross join (select min(month) as first_month from mart_transactions) as t
)
select
    c.label as period, c.month,
    coalesce(c.month >= b.first_new_month, false) and coalesce(c.month_start >= run.observed_from, true) as moves,
    cast(coalesce(p.customers, m.active_start, 0) as bigint) as active_start,
    cast(coalesce(l.customers, m.active_end, 0) as bigint) as active_end,
    coalesce(m.new, 0) as new, coalesce(m.reactivated, 0) as reactivated, coalesce(m.resumed, 0) as resumed,
    coalesce(m.paused, 0) as paused, coalesce(m.churned, 0) as churned,
    coalesce(g.in_month_churn, 0) as in_month_churn, coalesce(a.acquired, 0) as acquired,
    coalesce(m.mrr_start, 0) as mrr_start, coalesce({{ by }}.mrr_new, 0) as mrr_new,
    coalesce({{ by }}.mrr_reactivation, 0) as mrr_reactivation, coalesce({{ by }}.mrr_resumed, 0) as mrr_resumed,
    coalesce({{ by }}.mrr_expansion, 0) as mrr_expansion, coalesce({{ by }}.mrr_contraction, 0) as mrr_contraction,
    coalesce({{ by }}.mrr_paused, 0) as mrr_paused, coalesce({{ by }}.mrr_churn, 0) as mrr_churn,
    coalesce(m.mrr_fx, 0) as mrr_fx, coalesce(m.mrr_end, 0) as mrr_end,
    coalesce(s.revenue, 0) as revenue, coalesce(s.revenue_unattributed, 0) as revenue_unattributed,
    coalesce(m.revenue_active, 0) as revenue_active, coalesce(m.revenue_known, 0) as revenue_known,
    coalesce(m.revenue_new, 0) as revenue_new,
    coalesce(s.orders, 0) as orders, coalesce(m.orders_known, 0) as orders_known, coalesce(m.buyers, 0) as buyers
from calendar as c
cross join run
cross join bounds as b
left join moved as m on m.month = c.month
{%- if by == "f" %}
left join flows as f on f.month = c.month
{%- endif %}
left join alive as l on l.month = c.month
left join alive as p on p.month = c.month - 1
left join acquired as a on a.month = c.month
left join gone_within as g on g.month = c.month
left join sold as s on s.month = c.month
where c.month between b.first_month and run.report_month
order by c.month
