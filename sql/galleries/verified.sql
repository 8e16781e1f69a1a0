-- Pairs that verification found to be one picture, the surest first.
-- Returns from_id < to_id, distance (similarity of the vectors, 1 = identical), score, kind, inliers, transform (8
-- numbers from pixels of from to pixels of to, null where none was sought), label_from, label_to, total (pairs before
-- the limit). Parameters: $label_col column of $label_table; $slice 'all', 'labels' (one of the two has one of
-- $labels), 'same' or 'diff'; $threshold lowest similarity or null; $ascending least sure first; $limit number of
-- pairs.
with labels as (
    select "index" as id, columns(lambda c: c = $label_col)::varchar as label
    from query_table($label_table)
)
select
    p."from" as from_id,
    p."to" as to_id,
    p.distance,
    p.score,
    p.kind,
    p.inliers,
    p.transform,
    a.label as label_from,
    b.label as label_to,
    count(*) over () as total
from verified_duplicates as p
semi join annotations as f on f."index" = p."from"
semi join annotations as t on t."index" = p."to"
left join labels as a on a.id = p."from"
left join labels as b on b.id = p."to"
where
    (cast($threshold as float) is null or p.distance >= cast($threshold as float))
    and case $slice
        when 'labels' then
            a.label in (select unnest(cast($labels as varchar[])))
            or b.label in (select unnest(cast($labels as varchar[])))
        when 'same' then a.label = b.label
        when 'diff' then a.label <> b.label
        else true
    end
order by
    case when $ascending then p.score else -p.score end nulls last,
    case when $ascending then p.distance else -p.distance end nulls last,
    p."from",
    p."to"
limit $limit
