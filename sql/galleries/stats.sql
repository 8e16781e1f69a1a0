-- Images at one end of a statistic.
-- Returns index, value (of the statistic), img_w, img_h (pixels), label, total (images before the limit).
-- Parameters: $source 'measured' or a table of statistics; $metric its column, or $by_size for width times height;
-- $label_col column of $label_table; $slice 'all' or 'labels' (the image has one of $labels); $labels; $ascending;
-- $limit number of images.
with labels as (
    select "index" as id, columns(lambda c: c = $label_col)::varchar as label
    from query_table($label_table)
),
metrics as (
    select "index", img_w, img_h, columns(lambda c: c = $metric)::double as metric
    from query_table($source)
),
valued as (
    select
        m."index",
        case when $by_size then m.img_w::double * m.img_h else m.metric end as value,
        m.img_w,
        m.img_h,
        l.label
    from metrics as m
    left join labels as l on l.id = m."index"
)
select "index", value, img_w, img_h, label, count(*) over () as total
from valued
where
    value is not null
    and not isnan(value)
    and ($slice <> 'labels' or label in (select unnest(cast($labels as varchar[]))))
order by case when $ascending then value else -value end, "index"
limit $limit
