-- one row per row read of a table: named, converted, and judged: its stage, and where it breaks its contract, rule, column and value
{%- set people = table.people | select("in", table.columns) | list %}
{%- set names = table.columns | select("in", table.required + table.key) | list %}
{%- set changed = (table.convert + table.accepted | list + people + table.known | list + ["month"]) | unique | select("in", table.columns) | list %}
{%- set identify, others, numbers, needed = [], [], [], [] %}
{%- for name in table.columns %}
    {%- set kind = table.columns[name] %}
    {%- set _ = (identify if kind == "varchar" and name in names else numbers if kind in below else others).append(name) %}
    {%- set _ = needed.append(name) if name in table.required and name not in table.may_be_empty and kind not in below %}
{%- endfor %}
with named as (
    select
        raw.file, raw.line, raw.misread, raw.misread_value, run.*{% for column in changed %},
        raw."{{ column }}" as told_{{ column }}
    {%- endfor %}{% for column in table.columns %},
        {% if column in people %}coalesce(known_{{ column }}.person_id, raw."{{ column }}")
        {%- elif column in table.accepted %}lower(raw."{{ column }}")
        {%- elif column == "month" %}cast(cast(raw."month" as date) - cast(extract(day from raw."month") - 1 as integer) as timestamp)
        {%- elif "currency" in column %}upper(raw."{{ column }}")
        {%- else %}raw."{{ column }}"{% endif %} as "{{ column }}"
    {%- endfor %}
    from raw_{{ table.name }} as raw
    cross join (
        select as_of, currency as report_currency, has_rates, internal_customers = 'leave_out' as no_internals from run
    ) as run
    {%- for column in people %}
    left join identity as known_{{ column }} on known_{{ column }}.customer_id = raw."{{ column }}"
    {%- endfor %}
),
converted as (
    select
        named.file, named.line, named.misread, named.misread_value, named.as_of, named.no_internals{% for column in changed %}, named.told_{{ column }}{% endfor %}
    {%- for column, kind in table.columns.items() %},
        {% if column in table.convert %}cast(at_rate(named."{{ column }}", rates.rate, {{ below[kind] }}) as {{ kind }})
        {%- elif column == "currency" and table.convert %}case when rates.rate is null then coalesce(named.currency, report_currency) else report_currency end
        {%- elif column == "currency" %}coalesce(named.currency, report_currency)
        {%- else %}named."{{ column }}"{% endif %} as "{{ column }}"
    {%- endfor %},
        {{ "named.currency <> report_currency and rates.currency is null" if "currency" in table.columns else "false" }} as unconverted,
        has_rates, {{ "rates.rate" if "currency" in table.columns else "null" }} as day_rate,
        case                                         -- told here, for sums and products have an end
        {%- for column, kind in table.columns.items() if kind in below %}
            when abs(named."{{ column }}"{% if column in table.convert %} * coalesce(rates.rate, 1){% endif %}) >= {{ below[kind] }} then 'too large|{{ column }}'
        {%- endfor %}
        end as too_large,
        case                                         -- told before defaults fill what a total line leaves empty
            when {% for column in others %}named."{{ column }}" is null and {% endfor %}true
                and ({% for column in numbers %}named."{{ column }}" is null and {% endfor %}true
                {%- for column in needed %} or named."{{ column }}" is null{% endfor %})
            then case
                when {% for column in identify %}coalesce(reads_as_total(named."{{ column }}"), true) and {% endfor %}
                    coalesce(reads_as_total(named.misread_value), true)
                then case{% for column in identify %} when named."{{ column }}" is not null then '{{ column }}'{% endfor %} end
            end
        end as total_in
    from named
    {%- if "currency" in table.columns %}
    left join rates on rates.currency = named.currency and rates.day = cast(coalesce({{ table.moment }}, as_of) as date)
    {%- endif %}
),
filled as (
    select
        file, line, misread, misread_value, as_of, no_internals, unconverted, has_rates, day_rate, too_large, total_in{% for column in changed %}, told_{{ column }}{% endfor %}
    {%- for column in table.columns %},
        {% if column in table.defaults %}coalesce("{{ column }}", {{ table.defaults[column] }}) as {% endif %}"{{ column }}"
    {%- endfor %}
    from converted
),
seen as (                                            -- what is told of a row only after as_of is blank, before it is judged
    select
        file, line, misread, misread_value, as_of, no_internals, unconverted, has_rates, day_rate, too_large, total_in{% for column in changed %}, told_{{ column }}{% endfor %}
    {%- for column in table.columns %},
        {% if column in table.known %}case when {{ table.known[column] }} then "{{ column }}" end as {% endif %}"{{ column }}"
    {%- endfor %}
    from filled
),
faulty as (                                          -- the first rule that a row breaks, with its column
    select
        *,
        {{ table.moment }} as moment,
        case
            when total_in is not null then concat('total line|', total_in)
            when misread is not null then concat('cannot be read|', misread)
        {%- for column in table.required if column not in table.may_be_empty %}
            when "{{ column }}" is null then 'empty|{{ column }}'
        {%- endfor %}
        {%- for column, kind in table.columns.items() if kind == "timestamp" and column in table.required %}
            when "{{ column }}" < timestamp '1970-01-01 00:00:00' then 'before 1970|{{ column }}'
        {%- endfor %}
            when too_large is not null then too_large
        {%- for column, words in table.accepted.items() %}
            when "{{ column }}" not in ('{{ words | join("', '") }}') then 'not an accepted value|{{ column }}'
        {%- endfor %}
        {%- for column, least in table.at_least.items() %}
            when "{{ column }}" < {{ least }} then 'below {{ least or "zero" }}|{{ column }}'
        {%- endfor %}
        {%- for column, other in table.not_before.items() %}
            when "{{ column }}" < "{{ other }}" then 'before {{ other }}|{{ column }}'
        {%- endfor %}
        {%- for rule, (column, broken) in table.refuse.items() %}
            when {{ broken }} then '{{ rule }}|{{ column }}'
        {%- endfor %}
            when unconverted and has_rates then 'no rate on or before its day|currency'
            when unconverted then 'other currency than the report|currency'
        {%- if people and table.name != "customers" %}
            when no_internals and customer_id in (select customer_id from staged_customers where stage = 'kept' and is_internal) then 'internal customer|customer_id'
        {%- endif %}
        end as fault
    from seen
)
select
    file, line{% for column in table.columns %}, "{{ column }}"{% endfor %},
    moment, {{ table.latest or "moment" }} as latest,
    {% if not table.worth %}cast(null as decimal(18, 4))
    {%- else %}coalesce(cast({% if table.convert %}case when currency = (select currency from run) then {{ table.worth }} end{% else %}{{ table.worth }}{% endif %} as decimal(18, 4)), 0){% endif %} as worth,
    case when moment >= as_of then 'after_as_of' when fault is not null then 'rejected' else 'kept' end as stage,
    case when moment < as_of or moment is null then split_part(fault, '|', 1) end as rule,
    split_part(fault, '|', 2) as rule_column,
    case split_part(fault, '|', 2)
        when misread then misread_value
    {%- for column in table.columns %}
        when '{{ column }}' then cast({{ "told_" ~ column if column in changed else '"' ~ column ~ '"' }} as varchar)
    {%- endfor %}
    end as rule_value
from faulty
