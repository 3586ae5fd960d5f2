-- one row per spelling of a customer's id that is another customer's too: the person_id that stands for all of its spellings
with spelled as (
{%- for table, column in people %}
    select distinct {{ column }} as customer_id
    from raw_{{ table.name }} cross join run
    where {{ column }} is not null and coalesce({{ table.moment }} < run.as_of, true)  -- what comes later names nobody
    {{ "union" if not loop.last }}
{%- endfor %}
),
folded as (
    select
        s.customer_id,
        case
            when run.customer_ids = 'exact' then s.customer_id
            when run.email_tags = 'drop' then without_tag(folded_id(s.customer_id))
            else folded_id(s.customer_id)
        end as folded
    from spelled as s
    cross join run
),
hashed as (                                          -- the same e-mail under several ids
    select f.folded, min(lower(c.email_hash)) as email_hash
    from raw_customers as c
    inner join folded as f on f.customer_id = c.customer_id
    cross join run
    where c.email_hash is not null and run.same_email = 'merge' and coalesce(c.created_at < run.as_of, true)
    group by f.folded
),
keyed as (
    select f.customer_id, coalesce(h.email_hash, f.folded) as person_key, h.email_hash is null as by_id
    from folded as f
    left join hashed as h on h.folded = f.folded
),
persons as (
    select person_key, by_id, min(customer_id) as person_id from keyed group by person_key, by_id having count(*) > 1
)
select k.customer_id, p.person_id
from keyed as k
inner join persons as p on p.person_key = k.person_key and p.by_id = k.by_id
where k.customer_id <> p.person_id
