-- one row per kept row of a table, without its file and line: the same rows in other files make the same mart
select {% for column in table.columns %}"{{ column }}"{{ ", " if not loop.last }}{% endfor %}
from staged_{{ table.name }}
where stage = 'kept'
