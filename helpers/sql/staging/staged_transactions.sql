-- one row per row read of transactions: as judged and numbered, beside the columns that are empty in every file
select
    file, line{% for column, kind in table.columns.items() %},
    {% if column in empty %}cast(null as {{ kind }}) as {% endif %}{{ column }}{% endfor %},
    opens_order, {{ table.moment }} as moment, {{ table.moment }} as latest, {{ table.worth }} as worth,
    stage, rule, rule_column, rule_value
from numbered_transactions
