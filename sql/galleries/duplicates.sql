-- Pairs of similar images, each pair once: (a, b) and (b, a) are merged before anything is counted.
-- Returns from_id < to_id, distance (similarity, 1 = identical), label_from, label_to, total (pairs before the limit).
-- Parameters: $source 'stored' or a table of directed pairs ("from", "to", distance); $label_col column of
-- $label_table; $slice 'all', 'labels' (one of the two has one of $labels), 'same' or 'diff' (equal or different
-- labels); $labels; $threshold lowest similarity or null (of stored pairs that of the run); $ascending least similar
-- first; $limit number of pairs.
with labels as (
    select "index" as id, columns(lambda c: c = $label_col)::varchar as label
    from query_table($label_table)
),
stored as (
    select s."from", s."to", s.distance
    from similarity_at(coalesce(cast($threshold as double), (select threshold from current_run))) as s
    semi join annotations as f on f."index" = s."from"
    semi join annotations as t on t."index" = s."to"
),
pairs as (
    select least("from", "to") as from_id, greatest("from", "to") as to_id, max(distance) as distance
    from query_table($source)
    where "from" <> "to" and distance::float >= coalesce(cast($threshold as float), distance::float)
    group by least("from", "to"), greatest("from", "to")
)
select p.from_id, p.to_id, p.distance, a.label as label_from, b.label as label_to, count(*) over () as total
from pairs as p
left join labels as a on a.id = p.from_id
left join labels as b on b.id = p.to_id
where
    case $slice
        when 'labels' then
            a.label in (select unnest(cast($labels as varchar[])))
            or b.label in (select unnest(cast($labels as varchar[])))
        when 'same' then a.label = b.label
        when 'diff' then a.label <> b.label
        else true
    end
order by case when $ascending then p.distance else -p.distance end, p.from_id, p.to_id
limit $limit
