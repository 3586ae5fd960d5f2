-- one row per ticket: the bad ones shortly before a renewal, which they put at risk, and ordinary ones
with drawn as (
    select
        *,
        cast('0x' || substr(ink, 1, 8) as bigint) % 10000 as draw,
        cast('0x' || substr(ink, 9, 8) as bigint) as moment,
        cast('0x' || substr(ink, 17, 4) as bigint) as reply_draw,
        cast('0x' || substr(ink, 21, 4) as bigint) as solve_draw,
        cast('0x' || substr(ink, 25, 4) as bigint) as topic_draw,
        cast('0x' || substr(ink, 29, 4) as bigint) as answer_draw
    from (
        select
            customer_no, spell, age, starts_at, ends_at, period_months, is_bad, as_of, kind,
            md5(concat_ws(':', seed, customer_no, kind, spell, age)) as ink
        from periods
        cross join (values ('bad'), ('ordinary')) as kinds (kind)
        cross join settings
        where kind = 'ordinary' or is_bad
    )
),
opened as (
    select
        *,
        kind = 'bad' as bad,
        if(
            bad, ends_at - to_days(cast(2 + moment % 18 as integer)),
            starts_at + to_days(cast(1 + moment % if(period_months = 1, 26, 350) as integer))
        ) + to_minutes(moment % 1440) - to_hours(24) as opened_at,
        to_minutes(if(bad, 1500 + reply_draw % 4000, 20 + reply_draw % 600)) as reply_after,
        to_hours(if(bad, 120 + solve_draw % 120, 12 + solve_draw % 80)) as solve_after,
        topic_draw % 5 = 4 and not bad as is_proactive
    from drawn
    where kind = 'bad' or draw < if(period_months = 1, 700, 4500)
)
select
    printf('T-%05d-%d-%03d%s', customer_no, spell, age, if(bad, '-b', '')) as ticket_id,
    customer_id,
    opened_at,
    if(opened_at + reply_after < as_of, opened_at + reply_after, null) as first_reply_at,
    if(opened_at + solve_after < as_of, opened_at + solve_after, null) as solved_at,
    if(solved_at is null, null, if(bad, 1 + answer_draw % 2, 0)) as reopened,
    if(bad, '1', cast(2 + solve_draw % 3 as varchar)) as severity,
    ['billing', 'bug', 'how_to', 'integration', 'performance'][1 + topic_draw % 5] as topic,
    case when solved_at is not null and answer_draw % 10 < 5 then if(bad or answer_draw % 100 < 6, 'bad', 'good') end as csat,
    is_proactive as proactive
from opened
join customers using (customer_no)
where opened_at < as_of
order by ticket_id
