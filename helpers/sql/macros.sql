-- one macro per reading of text: what cannot be read becomes null, and the row is rejected with its rule
create or replace macro as_time(written, zone, report_zone) as case
    when regexp_matches(written, ':[0-9][0-9](\.[0-9]+)? ?(Z|UTC|[+-][0-9][0-9](:?[0-9][0-9])?)$')
        then timezone(report_zone, try_cast(replace(written, ' UTC', '+00') as timestamptz))
    when not regexp_matches(written, '^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T][0-9:.]+)?$') then null
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
-- what became of a customer between two month ends; started: its first spell began between them
create or replace macro movement(active_start, active_end, paused_start, paused_end, started) as case
    when active_start and active_end then 'stayed'
    when active_start and paused_end > 0 then 'paused'
    when active_start then 'churned'
    when active_end and paused_start > 0 then 'resumed'
    when active_end and started then 'new'
    when active_end then 'reactivated'
    else 'away'
end;
-- amount × numerator ÷ denominator to four decimals, half away from zero, exactly: the double only proposes, decimals decide
create or replace macro nearest_units(amount, numerator, denominator) as
    cast(round(cast(amount * numerator as double) * 10000 / denominator, 0) as decimal(18, 0));
create or replace macro monthly(amount, numerator, denominator) as cast(
    (
        nearest_units(amount, numerator, denominator)
        + case
            when 2 * (cast(amount * numerator * 10000 as decimal(38, 12)) - nearest_units(amount, numerator, denominator) * denominator)
                >= denominator then 1
            when 2 * (cast(amount * numerator * 10000 as decimal(38, 12)) - nearest_units(amount, numerator, denominator) * denominator)
                < -denominator then -1
            else 0
        end
    ) * cast(0.0001 as decimal(5, 4)) as decimal(18, 4));
