-- Groups of images: connected components (visual) or the images of one label, one row per group.
-- Returns name (component id or label), num_images, mean_distance and min_distance (similarity of the neighbour edges
-- inside the group, in visual groups of those that hold it together; null when it has none), metric (mean of the
-- statistic over the images), ids (the first $max_items images of the group, by metric when there is one, else by id),
-- shown_labels (of these), labels and label_counts (lists, the most frequent first), total (groups before the limit).
-- Parameters:
--   $source table of components (id, component_id)
--   $group_by 'visual' or 'label': by label all images, or with $only_source those in $source
--   $label_col column of $label_table
--   $slice 'all', 'labels' (only images with one of $labels), 'same' (one label in the group) or 'diff' (several)
--   $threshold only images with an edge of at least this similarity inside the group; null for all
--   $min_items images a group needs; $max_items images shown of it
--   $metric a statistic, or $by_size for width times height; used if $with_metric
--   $order 'comp_size', 'distance', 'area', 'metric', 'component_id', or 'column' for $sort_by, a column of $sort_table
--     ('measured' or a view); $sort_by_reduction 'mean' or 'sum' of numbers (of texts the first in the alphabet counts)
--   $ascending; $limit number of groups
with annotated as (
    select "index" as id, is_valid, columns(lambda c: c = $label_col)::varchar as label
    from query_table($label_table)
),
metrics as (
    select
        "index" as id,
        img_w::double * img_h as area,
        case when $by_size then img_w::double * img_h else columns(lambda c: c = $metric)::double end as metric
    from measured
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
    from (
        select
            id,
            value,
            case value when 'true' then 1 when 'false' then 0 else try_cast(value as double) end as number
        from said
    )
),
grouped as (
    select c.id, c.component_id::varchar as name, c.component_id as number, a.label
    from query_table($source) as c
    left join annotated as a on a.id = c.id
    where $group_by = 'visual'
    union all
    select id, label as name, 0 as number, label
    from annotated
    where
        $group_by = 'label' and is_valid and label is not null
        and (not $only_source or id in (select s.id from query_table($source) as s))
),
sliced as (
    select id, name, number, label
    from grouped
    where $slice <> 'labels' or label in (select unnest(cast($labels as varchar[])))
),
inside as (
    select a.name, e.from_id, e.to_id, e.similarity
    from edges as e
    join sliced as a on a.id = e.from_id
    join sliced as b on b.id = e.to_id and b.name = a.name
    where e.similarity >= coalesce(
        cast($threshold as float),
        case when $group_by = 'visual' then (select cc_threshold::float from current_run) end,
        e.similarity
    )
),
linked as (
    select distinct id from (
        select from_id as id from inside
        union all
        select to_id as id from inside
    )
),
members as (
    select
        s.id,
        s.name,
        s.number,
        s.label,
        m.area,
        case when $with_metric then m.metric end as metric,
        k.number as value_number,
        k.value as value_text,
        row_number() over (
            partition by s.name
            order by
                case when $with_metric then (case when $ascending then m.metric else -m.metric end) end nulls last,
                s.id
        ) as place
    from sliced as s
    left join metrics as m on m.id = s.id
    left join keys as k on k.id = s.id
    where $threshold is null or s.id in (select id from linked)
),
counted as (
    select name, list(label order by n desc, label) as labels, list(n order by n desc, label) as label_counts
    from (
        select name, label, count(*) as n
        from members
        where label is not null
        group by name, label
    )
    group by name
),
similarities as (
    select name, avg(similarity) as mean_distance, min(similarity) as min_distance, max(similarity) as max_distance
    from inside
    group by name
),
groups as (
    select
        name,
        any_value(number) as number,
        count(*) as num_images,
        count(distinct label) as num_labels,
        avg(metric) as metric,
        avg(area) as area,
        case when $sort_by_reduction = 'sum' then sum(value_number) else avg(value_number) end as value_number,
        min(value_text) as value_text,
        list(id order by place) filter (place <= $max_items) as ids,
        list(label order by place) filter (place <= $max_items) as shown_labels
    from members
    group by name
),
ranked as (
    select
        g.name,
        g.number,
        g.num_images,
        s.mean_distance,
        s.min_distance,
        g.metric,
        g.ids,
        g.shown_labels,
        c.labels,
        c.label_counts,
        case $order
            when 'comp_size' then g.num_images
            when 'distance' then s.mean_distance
            when 'min_distance' then s.min_distance
            when 'max_distance' then s.max_distance
            when 'area' then g.area
            when 'metric' then g.metric
            when 'component_id' then g.number
            else g.value_number
        end as sort_number,
        case when $order = 'column' then g.value_text end as sort_text
    from groups as g
    left join similarities as s on s.name = g.name
    left join counted as c on c.name = g.name
    where
        g.num_images >= $min_items
        and case $slice
            when 'same' then g.num_labels = 1
            when 'diff' then g.num_labels > 1
            else true
        end
)
select
    name,
    num_images,
    mean_distance,
    min_distance,
    metric,
    ids,
    shown_labels,
    labels,
    label_counts,
    count(*) over () as total
from ranked
order by
    case when $ascending then sort_number else -sort_number end nulls last,
    case when $ascending then sort_text end,
    case when not $ascending then sort_text end desc nulls last,
    number,
    name
limit $limit
