-- one row per table and month of its kept rows' moments: rows, and money where it adds up, of transactions their revenue
with dated as (
    select 'transactions' as "table", month, cast(count(*) as bigint) as "rows", sum(revenue) as amount
    from mart_transactions
    group by month
{%- for name in tables if name != "transactions" %}
    union all
    select '{{ name }}', month_of(moment), count(*), sum(worth)
    from staged_{{ name }}
    where stage = 'kept' and moment is not null
    group by month_of(moment)
{%- endfor %}
)
select d."table", c.label as period, d."rows", d.amount
from dated as d
inner join calendar as c on c.month = d.month
order by d."table", c.label
