-- Outliers, one row each. $how 'all': those of $source, far from all other images. 'one': the images farthest from one of
-- their neighbours, as many as there are outliers; their other neighbours may be close.
-- Returns outlier, nearest (its nearest neighbour; with 'one' its farthest), distance (similarity to it, 1 = identical),
-- label, label_nearest, total (outliers before the limit).
-- Parameters: $edges table of neighbours (from_id, to_id, similarity); $source table of outliers (outlier, nearest,
-- distance); $label_col column of $label_table; $slice 'all', 'labels' (the outlier has one of $labels), 'same' or 'diff'
-- (its label equals that of nearest or not); $labels; $sort_table 'measured' or a view, $sort_by its column, or
-- $sort_by_distance; $ascending; $limit number of outliers.
with labels as (
    select "index" as id, columns(lambda c: c = $label_col)::varchar as label
    from query_table($label_table)
),
said as (
    select "index" as id, columns(lambda c: c = $sort_by)::varchar as value
    from query_table($sort_table)
),
keys as (
    -- numbers only where all of them are: a label may be called 7
    select
        id,
        value,
        case when bool_and(value is null or number is not null) over () then number end as number
    from (select id, value, try_cast(value as double) as number from said)
),
far as (
    select from_id, arg_min(to_id, (similarity, to_id)) as to_id, min(similarity) as similarity
    from query_table($edges) as e
    semi join annotations as f on f."index" = e.from_id
    semi join annotations as t on t."index" = e.to_id
    where $how = 'one'
    group by from_id
),
chosen as (
    (
        select from_id as outlier, to_id as nearest, similarity as distance
        from far
        order by similarity, from_id
        limit (select count(distinct outlier) from query_table($source))
    )
    union all
    select outlier, arg_max(nearest, (distance, -nearest)) as nearest, max(distance) as distance
    from query_table($source)
    where $how = 'all'
    group by outlier
),
ranked as (
    select
        f.outlier,
        f.nearest,
        f.distance,
        a.label,
        b.label as label_nearest,
        case when $sort_by_distance then f.distance else k.number end as number,
        case when not $sort_by_distance then k.value end as text
    from chosen as f
    left join labels as a on a.id = f.outlier
    left join labels as b on b.id = f.nearest
    left join keys as k on k.id = f.outlier
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
