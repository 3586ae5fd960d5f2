-- one row per subscription: its periods joined, with trial, discount, pause and the way it ended
with joined as (
    select
        customer_no,
        row_no,
        spell,
        tier,
        period_months,
        spell_at,
        min(age) as age_from,
        count(*) as periods,
        min(starts_at) as started_at,
        max(ends_at) as next_at,
        bool_or(leaves) as leaves
    from periods
    group by customer_no, row_no, spell, tier, period_months, spell_at
),
drawn as (
    select
        joined.*,
        lead(spell) over (partition by customer_no order by row_no) is not distinct from spell as is_swapped,
        cast('0x' || substr(ink, 1, 8) as bigint) % 10000 as pause_draw,
        cast('0x' || substr(ink, 9, 8) as bigint) as pause_from_draw,
        cast('0x' || substr(ink, 17, 8) as bigint) % 10000 as kind_draw,
        cast('0x' || substr(ink, 25, 4) as bigint) as notice_draw,
        cast('0x' || substr(ink, 29, 4) as bigint) as reason_draw
    from (
        select joined.*, md5(concat_ws(':', seed, customer_no, 'terms', row_no)) as ink from joined cross join settings
    ) as joined
),
paused as (
    select
        customer_no,
        row_no,
        spell_at + to_months(cast(age_from + 1 + pause_from_draw % (periods - 1) as integer)) as pause_at,
        spell_at + to_months(cast(age_from + 2 + pause_from_draw % (periods - 1) + pause_draw % 3 as integer))
            as resume_at
    from drawn
    where pause_draw < 700 and period_months = 1 and periods > 2
),
ended as (
    select
        drawn.*,
        pause_at,
        resume_at,
        case when leaves then if(kind_draw < 2000, 'involuntary', 'voluntary') end as churn_kind,
        case                                             -- notice comes after a trial, and at most 80 days ahead
            when leaves and kind_draw < 2000 then next_at
            when leaves then next_at - to_days(cast(notice_draw % if(drawn.period_months = 1, 15, 81) as integer))
        end as canceled_at
    from drawn
    left join paused                                     -- nobody changes tier during a pause
        on paused.customer_no = drawn.customer_no and paused.row_no = drawn.row_no
        and (not drawn.is_swapped or resume_at < drawn.next_at)
)
select
    ended.customer_no,
    row_no,
    spell,
    tier,
    ended.period_months,
    is_swapped,
    started_at,
    if(is_swapped or canceled_at < as_of, next_at, null) as ended_at,
    next_at,
    if(has_trial and row_no = 1, started_at + to_days(14), null) as trial_ended_at,
    if(canceled_at < as_of, canceled_at, null) as canceled_at,
    if(canceled_at < as_of, churn_kind, null) as churn_kind,
    case
        when canceled_at < as_of and churn_kind = 'involuntary' then 'payment_failed'
        when canceled_at < as_of then
            ['too_expensive', 'missing_feature', 'no_longer_needed', 'switched', 'poor_service'][1 + reason_draw % 5]
    end as cancel_reason,
    pause_at as paused_at,
    if(resume_at < as_of and (not leaves or resume_at < next_at), resume_at, null) as resumed_at,
    cast(price * if(ended.period_months = 1, 1, 10) as decimal(18, 2)) as unit_amount,
    case
        when has_discount and spell = 1 and age_from < if(ended.period_months = 1, 3, 12)
            then cast(price * if(ended.period_months = 1, 1, 10) * 0.2 as decimal(18, 2))
    end as discount_amount,
    if(discount_amount is null, null, spell_at + to_months(if(ended.period_months = 1, 3, 12))) as discount_ends_at
from ended
join tiers using (tier)
join people on people.customer_no = ended.customer_no
cross join settings
