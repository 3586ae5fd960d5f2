-- one row per table and file: its rows and their money in the report's currency, counted before anything is judged
{%- for name, table in tables.items() %}
select
    '{{ name }}' as "table", raw.file, count(*) as "rows",
    {%- set worth = 'raw."' ~ table.worth ~ '"' %}
    {%- if table.worth in table.convert %}
    coalesce(sum(case when rates.rate is null and upper(raw.currency) <> (select currency from run) then 0 else cast(at_rate({{ worth }}, rates.rate, {{ below[table.columns[table.worth]] }}) as decimal(18, 4)) end), 0) as amount
from raw_{{ name }} as raw
left join rates on rates.currency = upper(raw.currency) and rates.day = cast(coalesce({{ table.moment }}, (select as_of from run)) as date)
    {%- else %}
    {{ "coalesce(sum(cast(" ~ worth ~ " as decimal(18, 4))), 0)" if table.worth else "cast(null as decimal(38, 4))" }} as amount
from raw_{{ name }} as raw
    {%- endif %}
group by raw.file
{{ "union all" if not loop.last }}
{%- endfor %}
