-- The chosen components, one row each, members in id order, with the mean of `chosen_measured`.
-- $sort_by: component_id, comp_size, len, distance, min_distance, max_distance, mean_distance or a metric;
-- $direction: 1 ascending, -1 descending. Ties by component_id.
with grouped as (
    select
        list(f.filename order by c.id) as files,
        c.component_id,
        list(c.id order by c.id) as files_ids,
        any_value(i.min) as distance,
        any_value(i.mean) as mean_distance,
        any_value(i.max) as max_distance,
        count(*) as len,
        avg(v.value) as metric
    from chosen_components as c
    join chosen_info as i on i.component_id = c.component_id
    join facts as f on f.fd_index = c.id
    left join chosen_measured as v on v.id = c.id
    group by c.component_id
)
select files, component_id, files_ids, distance, len, metric
from grouped
order by
    $direction * case $sort_by
        when 'component_id' then component_id
        when 'comp_size' then len when 'len' then len
        when 'distance' then distance when 'min_distance' then distance
        when 'mean_distance' then mean_distance when 'max_distance' then max_distance
        else metric
    end,
    component_id
