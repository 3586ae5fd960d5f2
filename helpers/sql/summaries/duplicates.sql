-- one row per table with rows that are equal in every column: how many repeat another one, and their money; all of them count
{#- a row of nobody has an id of its instant and a number, which is no difference #}
{%- set said = "case when customer_id is null then split_part(transaction_id, ' no. ', 1) else transaction_id end" %}
with repeated as (
{%- for table in tables %}
    select '{{ table.name }}' as "table", count(*) - 1 as repeats, (count(*) - 1) * max({{ table.worth or "cast(null as decimal(18, 4))" }}) as amount
    from {{ "mart_transactions where " ~ said ~ " in (select transaction_id from shared_ids)" if table.name == "transactions"
            else "staged_" ~ table.name ~ " where stage = 'kept'" }}
    group by {% for column in table.columns if column != "line_no" %}
        {{- said if column == "transaction_id" else '"' ~ column ~ '"' }}{{ ", " if not loop.last }}{% endfor %}
    having count(*) > 1
    {{ "union all" if not loop.last }}
{%- endfor %}
)
select "table", cast(sum(repeats) as bigint) as "rows", sum(amount) as amount
from repeated
group by "table"
order by 1
