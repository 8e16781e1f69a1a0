-- How much each labelled instance's neighbours agree with its label, most doubtful first: index, filename, label,
-- score (share of its neighbours that have its own label, 0 to 1), neighbors, other_label (the label most of its
-- disagreeing neighbours have) and distance (similarity to the nearest disagreeing one).
with pairs as (
    select f.fd_index, f.filename, f.label, t.label as other, e.similarity, f.label = t.label as agrees
    from edges as e
    join facts as f on f.fd_index = e.from_id
    join facts as t on t.fd_index = e.to_id
    where f.label is not null and t.label is not null
        and e.from_id in (select id from chosen) and e.to_id in (select id from chosen)
),
votes as (
    select fd_index, other, count(*) as votes, max(similarity) as nearest
    from pairs
    where not agrees
    group by fd_index, other
)
select
    p.fd_index as "index",
    any_value(p.filename) as filename,
    any_value(p.label) as label,
    avg(p.agrees::integer) as score,
    count(*) as neighbors,
    (
        select v.other from votes as v where v.fd_index = p.fd_index
        order by v.votes desc, v.nearest desc, v.other
        limit 1
    ) as other_label,
    max(p.similarity) filter (where not p.agrees) as distance
from pairs as p
group by p.fd_index
order by score, distance desc nulls last, "index"
