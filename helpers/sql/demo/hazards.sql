-- one row per first tier, billing period and range of ages: the true chance per 10,000 to leave at a period's end
select *
from (values                                             -- ages in months at the period's end, inclusive
    (1, 1, 1, 3, 1000), (1, 1, 4, 6, 700), (1, 1, 7, 12, 500), (1, 1, 13, 9999, 350), (1, 12, 12, 9999, 3500),
    (2, 1, 1, 3, 700), (2, 1, 4, 6, 500), (2, 1, 7, 12, 350), (2, 1, 13, 9999, 250), (2, 12, 12, 9999, 2500),
    (3, 1, 1, 3, 450), (3, 1, 4, 6, 320), (3, 1, 7, 12, 220), (3, 1, 13, 9999, 160), (3, 12, 12, 9999, 1600),
    (4, 1, 1, 3, 300), (4, 1, 4, 6, 220), (4, 1, 7, 12, 160), (4, 1, 13, 9999, 110), (4, 12, 12, 9999, 1000)
) as hazards (origin, period_months, age_from, age_to, leave_chance)
order by origin, period_months, age_from
