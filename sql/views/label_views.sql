-- Views that need the column label.

-- As the statement annotations/label_quality has it, of all instances.
create or replace view label_quality as
with pairs as (
    select f.fd_index, f.filename, f.label, t.label as other, e.similarity, f.label = t.label as agrees
    from edges as e
    join facts as f on f.fd_index = e.from_id
    join facts as t on t.fd_index = e.to_id
    where f.label is not null and t.label is not null
),
votes as (
    select
        fd_index, other, max(similarity) as nearest,
        sum(greatest(similarity, 0) order by similarity) as weight
    from pairs
    where not agrees
    group by fd_index, other
),
doubts as (
    select
        fd_index,
        max(weight) as weight,
        first(other order by weight desc, nearest desc, other) as other_label,
        max(nearest) as nearest
    from votes
    group by fd_index
),
kept as (
    select
        fd_index,
        any_value(filename) as filename,
        any_value(label) as label,
        avg(agrees::integer) as score,
        count(*) as neighbors,
        coalesce(sum(greatest(similarity, 0) order by similarity) filter (where agrees), 0) as weight,
        sum(greatest(similarity, 0) order by similarity) as total
    from pairs
    group by fd_index
)
select
    k.fd_index as "index",
    k.filename,
    k.label,
    k.score,
    k.neighbors,
    d.other_label,
    d.nearest as distance
from kept as k
left join doubts as d using (fd_index)
order by
    (k.weight - coalesce(d.weight, 0)) / nullif(k.total, 0) nulls last, distance desc nulls last, "index";

comment on view label_quality is 'Share of each image''s neighbours with its own label (score, 0 to 1) and the label that most others have: likely mislabels first';
