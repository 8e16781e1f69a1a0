-- Views that need the column label.

create or replace view label_quality as
select
    f.fd_index as "index",
    f.filename,
    f.label,
    avg((f.label = t.label)::integer) as score,
    count(*) as neighbors,
    max(e.similarity) filter (where f.label <> t.label) as distance
from edges as e
join facts as f on f.fd_index = e.from_id
join facts as t on t.fd_index = e.to_id
where f.label is not null and t.label is not null
group by f.fd_index, f.filename, f.label
order by score, distance desc nulls last, f.fd_index;

comment on view label_quality is 'Share of each image''s neighbours with its own label (score, 0 to 1): likely mislabels first';
