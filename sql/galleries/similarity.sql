-- Images with their similar images: one row per query and neighbour, queries in the order of the gallery.
-- Returns position (of the query, from 1), from_id, to_id, distance (similarity, 1 = identical), label_from, label_to,
-- score (percent of the labelled neighbours that have the query's label; null without any), neighbors (all of them), total
-- (queries before the limit). Neighbours of a query: the most similar first, or last with $nearest_last.
-- Parameters: $source 'stored' or a table of directed pairs ("from", "to", distance); $label_col column of
-- $label_table; $slice 'all', 'labels' (the query has one of $labels), 'same' (score 100), 'diff' (score below 100) or
-- 'label_score' (those with a score); $labels; $threshold lowest similarity or null (of stored pairs that of the run);
-- $by_score order by score, else by the similarity of the most similar neighbour, $ascending by that of the least
-- similar one; $ascending; $nearest_last; $limit number of queries; $max_items neighbours shown of each, the most similar.
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
    select "from" as from_id, "to" as to_id, max(distance) as distance
    from query_table($source)
    where "from" <> "to" and distance::float >= coalesce(cast($threshold as float), distance::float)
    group by "from", "to"
),
labelled as (
    select p.from_id, p.to_id, p.distance, a.label as label_from, b.label as label_to
    from pairs as p
    left join labels as a on a.id = p.from_id
    left join labels as b on b.id = p.to_id
),
queries as (
    select
        from_id,
        any_value(label_from) as label_from,
        100 * avg((label_from = label_to)::integer) as score,
        count(*) as neighbors,
        max(distance) as nearest,
        min(distance) as farthest
    from labelled
    group by from_id
),
chosen as (
    select
        from_id,
        score,
        neighbors,
        count(*) over () as total,
        row_number() over (
            order by
                case when $by_score then (case when $ascending then score else -score end) end nulls last,
                case when $ascending and not $by_score then farthest else -nearest end,
                from_id
        ) as position
    from queries
    where
        case $slice
            when 'labels' then label_from in (select unnest(cast($labels as varchar[])))
            when 'same' then score = 100
            when 'diff' then score < 100
            when 'label_score' then score is not null
            else true
        end
)
select
    c.position, l.from_id, l.to_id, l.distance, l.label_from, l.label_to, c.score, c.neighbors, c.total
from chosen as c
join labelled as l on l.from_id = c.from_id
where c.position <= $limit
qualify row_number() over (partition by l.from_id order by l.distance desc, l.to_id) <= $max_items
order by c.position, case when $nearest_last then l.distance else -l.distance end, l.to_id
