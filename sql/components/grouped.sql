-- The chosen components, one row each, members in id order. $metric: a statistics column whose mean is added, or null;
-- $sort_by: component_id, comp_size, len, distance, min_distance, max_distance, mean_distance or the metric;
-- $direction: 1 ascending, -1 descending. Ties by component_id.
with measured as (
    select s.id, case $metric
        when 'mean' then s.mean when 'min' then s.min when 'max' then s.max when 'stdv' then s.stdv
        when 'unique' then s."unique" when 'blur' then s.blur when 'contrast' then s.contrast
        when 'img_w' then i.img_w when 'img_h' then i.img_h when 'size' then i.img_w * i.img_h
        when 'file_size' then m.file_size
        when 'rms_contrast' then a.rms_contrast when 'mean_hue' then a.mean_hue
        when 'mean_saturation' then a.mean_saturation when 'mean_val' then a.mean_val
        when 'edge_density' then a.edge_density when 'mean_r' then a.mean_r when 'mean_g' then a.mean_g
        when 'mean_b' then a.mean_b when 'mean_rel_intensity_r' then a.mean_rel_intensity_r
        when 'mean_rel_intensity_g' then a.mean_rel_intensity_g when 'mean_rel_intensity_b' then a.mean_rel_intensity_b
    end as value
    from stats as s
    join instances as i on i.id = s.id
    join images as m on m.image_id = i.image_id
    left join advanced_stats as a on a.id = s.id
),
grouped as (
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
    left join measured as v on v.id = c.id
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
