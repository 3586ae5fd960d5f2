-- one row per line of a report: what a campaign cost from one day to another; a total below the rows is told as one
{%- macro of(column, sql) %}{% if column in own %}e."{{ column }}"{% else %}{{ sql }} as "{{ column }}"{% endif %}{% endmacro %}
with lines as (
    select
        *,
        case when reads_as_total(campaign) then campaign when reads_as_total(misread_value) then misread_value end as total,
        misread = 'amount' and misread_value in ('--', '-', '–', '—') as free              -- nothing was spent
    from {{ rows }}
)
select
    e.file_row_number as line,
    {%- for column in ("misread", "misread_value") %}
    case when e.total is null and not coalesce(e.free, false) then e.{{ column }} end as {{ column }},
    {%- endfor %}
    case when e.total is null then e.period_start end as period_start,
    case when e.total is null then coalesce(e.period_end, e.period_start) end as period_end,
    case when e.total is null then e.campaign end as campaign,
    case when e.total is null then case when e.free then 0 else e.amount end end as amount,
    case when e.total is null then {% if currency %}coalesce(e.currency, '{{ currency }}'){% else %}e.currency{% endif %} end as currency,
    coalesce(e.total, {% if "channel" in own %}e.channel{% else %}'{{ channel }}'{% endif %}) as channel
    {%- for column in own if column != "channel" %},
    case when e.total is null then e."{{ column }}" end as "{{ column }}"
    {%- endfor %}
from lines as e
