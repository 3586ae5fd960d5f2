-- one row per business event of the last three years; no number of the book follows from one
select cast(starts_at + to_days(day - 1) as date) as date, label, kind
from (values
    (33, 12, 'New dashboard editor', 'release'),
    (20, 6, 'Six-hour outage', 'outage'),
    (14, 16, 'Webinar week', 'promo'),
    (8, 21, 'Rival starts a free plan', 'market'),
    (3, 11, 'Mobile app', 'release')
) as events (months_before_last, day, label, kind)
join settings on true
join months on month_no = months - 1 - months_before_last
order by date
