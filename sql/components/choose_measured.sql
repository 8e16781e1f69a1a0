-- The statistic $metric (a statistics column, 'size' for pixels, or null for none) of every instance that has statistics,
-- as the temp table `chosen_measured`: id, value.
create or replace temp table chosen_measured as
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
