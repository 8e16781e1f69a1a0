-- Images that are far from all other images (how='all'): even their nearest neighbour is as far as an outlier's.
-- Returns and parameters as galleries/outliers, with nearest the truly nearest neighbour and distance its similarity;
-- $edges table of neighbours (from_id, to_id, similarity).
with labels as (
    select index as id, columns(lambda c: c = $label_col)::varchar as label
    from annotations
),
keys as (
    select index as id, columns(lambda c: c = $sort_by)::varchar as value
    from query_table($sort_table)
),
cut as (
    select max(distance) as distance
    from query_table($source)
),
nearest as (
    select from_id as outlier, arg_max(to_id, (similarity, -to_id)) as nearest, max(similarity) as distance
    from query_table($edges)
    group by from_id
),
ranked as (
    select
        n.outlier,
        n.nearest,
        n.distance,
        a.label,
        b.label as label_nearest,
        case when $sort_by_distance then n.distance else try_cast(k.value as double) end as number,
        case when not $sort_by_distance then k.value end as text
    from nearest n
    join cut on n.distance <= cut.distance
    left join labels a on a.id = n.outlier
    left join labels b on b.id = n.nearest
    left join keys k on k.id = n.outlier
)
select outlier, nearest, distance, label, label_nearest, count(*) over () as total
from ranked
where
    case $slice
        when 'labels' then label in (select unnest(cast($labels as varchar[])))
        when 'same' then label = label_nearest
        when 'diff' then label <> label_nearest
        else true
    end
order by
    case when $ascending then number else -number end nulls last,
    case when $ascending then text end,
    case when not $ascending then text end desc nulls last,
    outlier
limit $limit
