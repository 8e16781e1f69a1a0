-- The rows of the outliers.csv of fastdup's module-level run: file names (for saved crops, the names of the crops)
-- instead of ids; the most extreme last.
with names as (
    select i.id, coalesce(i.crop_filename, l.filename) as name
    from instances as i
    join listing as l on l.image_id = i.image_id
)
select f.name as "from", t.name as "to", printf('%.6f', o.distance) as distance
from outliers_at((select outlier_percentile from current_run)) as o
join names as f on f.id = o.outlier
join names as t on t.id = o.nearest
order by o.distance desc, o.outlier desc
