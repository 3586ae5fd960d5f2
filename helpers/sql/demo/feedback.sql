-- one row per question asked: after joining, every half year, after a ticket and when leaving
with asked as (
    select printf('Q-%05d-onboarding', customer_no) as feedback_id, customer_id, 'onboarding' as kind,
        created_at + to_days(21) as asked_at, false as is_unhappy, null as reason
    from customers
    union all
    select printf('Q-%05d-nps-%d-%03d', customer_no, spell, age + nth), customer_id, 'nps',
        starts_at + to_months(cast(nth as integer)) + to_days(2), leaves or is_bad, null
    from (select *, unnest(if(period_months = 1, [0], [3, 9])) as nth from periods where not is_paused) as periods
    join customers using (customer_no)
    where (age + nth) % 6 = 3
    union all
    select printf('Q-%s', ticket_id), customer_id, 'csat', solved_at, severity = '1', null
    from support_tickets
    where solved_at is not null and not proactive
    union all
    select printf('Q-%s', subscription_id), customer_id, 'cancel', canceled_at, true, cancel_reason
    from subscriptions
    where churn_kind = 'voluntary'
),
drawn as (
    select
        *,
        cast('0x' || substr(ink, 1, 8) as bigint) % 10000 < case kind when 'cancel' then 6000 else 4200 end as is_answered,
        asked_at + to_minutes(20 + cast('0x' || substr(ink, 9, 6) as bigint) % 9000) as answers_at,
        cast('0x' || substr(ink, 15, 4) as bigint) as score_draw,
        cast('0x' || substr(ink, 19, 4) as bigint) as text_draw,
        cast('0x' || substr(ink, 23, 4) as bigint) as handle_draw
    from (select asked.*, as_of, md5(concat_ws(':', seed, feedback_id)) as ink from asked cross join settings)
    where asked_at < as_of
),
answered as (
    select
        *,
        if(is_answered and answers_at < as_of, answers_at, null) as answered_at,
        case
            when answered_at is null or kind = 'cancel' then null
            when kind = 'nps'
                then [10, 10, 10, 10, 9, 9, 9, 8, 8, 8, 7, 7, 6, 5, 9, 8, 7, 6, 5, 4, 3, 2, 0][
                    1 + score_draw % 14 + if(is_unhappy, 9, 0)
                ]
            else [5, 5, 5, 4, 4, 4, 5, 3, 3, 2, 2, 1][1 + score_draw % 8 + if(is_unhappy, 4, 0)]
        end as score
    from drawn
)
select
    feedback_id,
    customer_id,
    kind,
    asked_at,
    answered_at,
    case
        when (kind = 'nps' and score <= 6 or kind <> 'nps' and score <= 2) and handle_draw % 10 < 7
            and answered_at + to_hours(5 + handle_draw % 300) < as_of
            then answered_at + to_hours(5 + handle_draw % 300)
    end as handled_at,
    score,
    case
        when answered_at is null then null
        when reason = 'too_expensive' then ['Too expensive for us', 'Demasiado caro', 'The price went up'][1 + text_draw % 3]
        when reason = 'missing_feature' then ['Missing an export to our warehouse', 'We need alerts by phone'][1 + text_draw % 2]
        when reason = 'switched' then 'Moved to another product'
        when reason = 'poor_service' then ['Slow support', 'Der Support hat zu lange gebraucht'][1 + text_draw % 2]
        when reason is not null then 'We no longer need it'
        when text_draw % 3 > 0 then null
        when score <= 6 and kind = 'nps' or score <= 2
            then ['Too slow', 'Support took days', 'Too expensive', 'Trop cher pour ce que c’est'][1 + text_draw % 4]
        else ['Easy to use', 'Great dashboards', 'Muy útil', 'Helpful team'][1 + text_draw % 4]
    end as "text"
from answered
order by feedback_id
