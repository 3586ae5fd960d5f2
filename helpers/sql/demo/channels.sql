-- one row per channel: its share of new customers, their first tiers (per 10,000) and the media cost of one
select *
from (values                                             -- running sums: what team leaves over is business
    ('organic', 0, 3000, 3000, 7500, 9700, 0),
    ('search', 3000, 5800, 2500, 6800, 9500, 260),
    ('social', 5800, 7600, 5000, 8800, 9900, 270),
    ('partner', 7600, 8800, 1000, 4500, 8800, 330),
    ('referral', 8800, 10000, 2500, 7000, 9500, 110)
) as channels (channel, share_from, share_to, upto_starter, upto_plus, upto_team, media_cost)
order by channel
