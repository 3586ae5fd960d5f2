-- one row per table with rows that are equal in every column: how many repeat another one, and their money; all of them count
with repeated as (
{%- for table in tables %}
    select '{{ table.name }}' as "table", count(*) - 1 as repeats, (count(*) - 1) * max({{ table.worth or 0 }}) as amount
    from {{ "mart_transactions where transaction_id in (select transaction_id from shared_ids)" if table.name == "transactions"
            else "staged_" ~ table.name ~ " where stage = 'kept'" }}
    group by {% for column in table.columns if column != "line_no" %}"{{ column }}"{{ ", " if not loop.last }}{% endfor %}
    having count(*) > 1
    {{ "union all" if not loop.last }}
{%- endfor %}
)
select "table", cast(sum(repeats) as bigint) as "rows", sum(amount) as amount
from repeated
group by "table"
order by 1
