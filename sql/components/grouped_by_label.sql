-- The members of components by label, one row per label with at least two of them: label, files, component_id (list),
-- files_ids, distance, len, and the mean of `chosen_measured`. $sort_by: component_id (the lowest), comp_size, len,
-- distance, min_distance, max_distance, mean_distance or a metric; $direction: 1 ascending, -1 descending. Ties by label.
with grouped as (
    select
        f.label,
        list(f.filename order by c.id) as files,
        list(c.component_id order by c.id) as component_id,
        list(c.id order by c.id) as files_ids,
        min(i.min) as distance,
        avg(i.mean) as mean_distance,
        max(i.max) as max_distance,
        min(c.component_id) as lowest_component,
        count(*) as len,
        avg(v.value) as metric
    from chosen_components as c
    join chosen_info as i on i.component_id = c.component_id
    join facts as f on f.fd_index = c.id
    left join chosen_measured as v on v.id = c.id
    where f.label is not null
    group by f.label
    having count(*) >= 2
)
select label, files, component_id, files_ids, distance, len, metric
from grouped
order by
    $direction * case $sort_by
        when 'component_id' then lowest_component
        when 'comp_size' then len when 'len' then len
        when 'distance' then distance when 'min_distance' then distance
        when 'mean_distance' then mean_distance when 'max_distance' then max_distance
        else metric
    end,
    label
