-- one row per source file: its rows, the first and last moment in it, and the newest of a kept row, before as_of
with counted as (
    select
        "table", file, cast(sum("rows") as bigint) as "rows", min(first) as first, max(last) as last, max(newest) as newest
    from staged_rows
    group by "table", file
)
select
    f."table", f.file, f.sha256, f.encoding, f.ignored_columns, coalesce(c."rows", 0) as "rows",
    cast(c.first as varchar) as first, cast(c.last as varchar) as last, cast(c.newest as varchar) as newest
from source_files as f
left join counted as c on c."table" = f."table" and c.file = f.file
order by f."table", f.file
