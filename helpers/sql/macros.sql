-- what is written in a cell, as a value: null where it cannot be read, and the row is rejected for it
create or replace macro as_text(written) as case                     -- trimming is slow, and seldom needed
    when written between '!' and '~' and substr(written, -1) between '!' and '~' then written
    else nullif(trim(written, concat(' ', chr(9), chr(10), chr(13), chr(160), chr(8239))), '')
end;
-- databases and programs write a word where a cell is empty; it is no customer, no time and no number
create or replace macro is_filled(written) as
    coalesce(written not in ('NULL', 'null', '\N', 'NaN', 'nan', 'NaT', 'None', 'NA', '<NA>', 'N/A', 'n/a'), false);
create or replace macro as_naive(written, formats) as case
    when not regexp_matches(written, '^[0-9]') then null             -- 'infinity' and 'epoch' would be moments
    when length(written) = 10 or length(written) = 19 and substr(written, 17, 1) = ':'
        then coalesce(try_cast(written as timestamp), try_strptime(written, formats))
    when regexp_matches(written, '^[2-6][0-9]{4}(\.[0-9]+)?$')      -- a spreadsheet's number of a day
        then timestamp '1899-12-30' + to_seconds(cast(round(try_cast(written as double) * 86400, 0) as bigint))
    else try_strptime(written, formats)
end;
create or replace macro begun_by(written) as
    regexp_replace(regexp_extract(written, '^[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4}'), '[.-]', '/', 'g');
-- what a date that is not ISO names first, where only one can be: 13/06/2025 the day, 06/13/2025 the month
create or replace macro surely_first(written) as case
    when try_strptime(begun_by(written), '%d/%m/%Y') is null and try_strptime(begun_by(written), '%m/%d/%Y') is not null then 'month'
    when try_strptime(begun_by(written), '%m/%d/%Y') is null and try_strptime(begun_by(written), '%d/%m/%Y') is not null then 'day'
end;
create or replace macro as_time(written, zone, report_zone) as case
    when regexp_matches(written, ':[0-9][0-9](\.[0-9]+)? ?(Z|UTC|[+-][0-9][0-9](:?[0-9][0-9])?)$')
        then timezone(report_zone, try_cast(
            regexp_replace(replace(written, ' UTC', '+00'), ' ?([+-][0-9]{2}):?([0-9]{2})$', '\1:\2') as timestamptz))
    when not regexp_matches(written, '^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T][0-9:.]+)?$') then null
    when zone = report_zone then try_cast(written as timestamp)
    else timezone(report_zone, timezone(zone, try_cast(written as timestamp)))
end;
-- a day is the same in every zone: what is written, without its offset; of an instant, the day that begins at it, else its source's
create or replace macro without_offset(written) as
    regexp_replace(written, '(:[0-9][0-9](\.[0-9]+)?) ?(Z|UTC|[+-][0-9][0-9](:?[0-9][0-9])?)$', '\1');
create or replace macro calendar_day(instant, zone) as
    case when date_trunc('day', timezone('UTC', instant)) = timezone('UTC', instant) then timezone('UTC', instant) else timezone(zone, instant) end;
-- '1.234,56' and '1,234.56' as '1234.56'; accountants write (5) and 5- for -5
create or replace macro signed(written) as case
    when written like '(%)' then concat('-', substr(written, 2, length(written) - 2))
    when written like '%_-' then concat('-', substr(written, 1, length(written) - 1))
    else written
end;
create or replace macro as_number(written, pattern, mark) as case
    when mark = '.' and try_cast(written as decimal(38, 8)) is not null then written
    else coalesce(replace(regexp_replace(
        nullif(regexp_extract(signed(written), pattern), ''), concat('[^0-9+', mark, '-]'), '', 'g'), mark, '.'),
        case when mark = '.' or written not like '%.%' then signed(written) end)         -- 1.5 is no number where 1,5 is one
end;
create or replace macro as_whole(written) as
    case when try_cast(written as decimal(18, 4)) = try_cast(written as integer) then written end;
create or replace macro as_flag(written) as case
    when lower(written) in ('true', 't', 'yes', 'y', '1') then true when lower(written) in ('false', 'f', 'no', 'n', '0') then false
end;
create or replace macro as_id(written) as case
    when length(written) < 5 and not is_filled(written) then null
    when written like '#%' and regexp_matches(written, '^#(N/A|(REF|VALUE|DIV/0|NUM|NULL|SPILL|CALC|FIELD)!|NAME\?)$') then null
    when written like '%.0' then regexp_replace(written, '^([0-9]+)\.0$', '\1')
    else written
end;
-- whether a cell names a line below the rows, as "Total: 3 rows" does
create or replace macro reads_as_total(written) as
    regexp_matches(lower(written), '^((grand )?totals?|sum|summe)( *:.*)?$');
-- how many of a currency's smallest units make one of it
create or replace macro smallest_units(currency) as case
    when upper(currency) in ('BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') then 1
    when upper(currency) in ('BHD', 'JOD', 'KWD', 'OMR', 'TND') then 1000
    else 100
end;
-- an amount in the report's currency; as it is without a rate, and where it would be too large to be anything but an error
create or replace macro at_rate(amount, rate, below) as case when abs(amount * rate) < below then round(amount * rate, 4) else amount end;
-- the product of two amounts, for sums of squares: two of 18 digits would be multiplied in 18 and not find room
create or replace macro times(amount, other) as cast(cast(amount as decimal(20, 4)) * other as decimal(38, 4));
-- one spelling of an id: without case and runs of blanks; an address without its +tag
create or replace macro folded_id(written) as lower(regexp_replace(written, '[\s\x{a0}\x{2009}\x{202f}\x{3000}]+', ' ', 'g'));
create or replace macro without_tag(written) as regexp_replace(written, '^([^@+]+)\+[^@]*@', '\1@');
-- an id without punctuation, and without the zeros before its numbers: C-0042 and c42 are c42
create or replace macro bare_id(written) as nullif(
    regexp_replace(regexp_replace(lower(written), '[^\p{L}\p{N}]', '', 'g'), '(^|[^0-9])0+([0-9])', '\1\2', 'g'), '');
create or replace macro month_of(moment) as extract(year from moment) * 12 + extract(month from moment);
create or replace macro second_of(moment) as
    extract(hour from moment) * 3600 + extract(minute from moment) * 60 + cast(floor(extract(second from moment)) as integer);
-- completed months from a moment to the end of a month, which is the next one's first instant
create or replace macro months_lived(month, begun_at) as month + 1 - month_of(begun_at)
    - case when extract(day from begun_at) = 1 and second_of(begun_at) = 0 then 0 else 1 end;
-- months from one bill to the next, at least 1
create or replace macro term_of(billing, interval_count) as case billing
    when 'year' then 12 * interval_count
    when 'month' then interval_count
    when 'week' then greatest(1, 7 * interval_count // 30)
    else greatest(1, interval_count // 30)
end;
-- months from a day to its anniversary, the last day of a shorter month included; 0 where the other day is none
create or replace macro whole_months(from_on, until_on) as case
    when extract(day from until_on) = least(extract(day from from_on), extract(day from last_day(until_on)))
        then month_of(until_on) - month_of(from_on)
    else 0
end;
-- days of the month that ends at a day
create or replace macro days_before(until_on) as
    greatest(extract(day from until_on), extract(day from last_day(until_on - cast(extract(day from until_on) as integer))));
-- whether a line bills a period: of at least a day, and of ten years at most
create or replace macro in_service(from_at, until_at) as coalesce(
    cast(from_at as date) < cast(until_at as date) + case when second_of(until_at) >= 86340 then 1 else 0 end
    and date_diff('day', cast(from_at as date), cast(until_at as date)) <= 3660, false);
-- F or M: by where scores begin, if that is set, else by the rank among all customers; R: the fewer days the better
create or replace macro rfm_score(is_set, ranked, customers, value, from2, from3, from4, from5) as case
    when not is_set then 1 + 5 * (ranked - 1) // customers
    when value >= from5 then 5 when value >= from4 then 4 when value >= from3 then 3 when value >= from2 then 2
    else 1
end;
create or replace macro recency_score(is_set, ranked, customers, value, to2, to3, to4, to5) as case
    when not is_set then 5 - 5 * (ranked - 1) // customers
    when value <= to5 then 5 when value <= to4 then 4 when value <= to3 then 3 when value <= to2 then 2
    else 1
end;
-- whether more than so many days, to the second, lie between an end and the next beginning
create or replace macro away_for(ended_on, ended_second, begun_at, days) as
    date_diff('day', ended_on, cast(begun_at as date)) + case when second_of(begun_at) > ended_second then 1 else 0 end > days;
-- what became of a customer between two month ends; started: its first spell, or one that counts as new, began between them
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
