-- one macro per reading of text: what cannot be read becomes null, and the row is rejected with its rule
create or replace macro as_time(written, zone, report_zone) as case
    when regexp_matches(written, ':[0-9][0-9](\.[0-9]+)? ?(Z|UTC|[+-][0-9][0-9](:?[0-9][0-9])?)$')
        then timezone(report_zone, try_cast(replace(written, ' UTC', '+00') as timestamptz))
    when zone = report_zone then try_cast(written as timestamp)
    else timezone(report_zone, timezone(zone, try_cast(written as timestamp)))
end;
create or replace macro month_of(moment) as extract(year from moment) * 12 + extract(month from moment);
create or replace macro second_of(moment) as
    extract(hour from moment) * 3600 + extract(minute from moment) * 60 + cast(floor(extract(second from moment)) as integer);
create or replace macro as_id(written) as regexp_replace(written, '^([0-9]+)\.0$', '\1');
create or replace macro unread(written, typed) as written is not null and typed is null;
create or replace macro misfit(written, accepted) as
    written is not null and not contains(concat(' ', accepted, ' '), concat(' ', lower(written), ' '));
