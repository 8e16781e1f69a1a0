-- The rows of the outliers.csv of fastdup's module-level run: file names (of kept
-- crops theirs); the most extreme last.
select coalesce(i.crop_filename, f.filename) as "from", coalesce(j.crop_filename, t.filename) as "to", printf('%.6f', o.distance) as distance
from outliers_at((select outlier_percentile from current_run)) as o
join facts as f on f.fd_index = o.outlier
join instances as i on i.id = o.outlier
join facts as t on t.fd_index = o.nearest
join instances as j on j.id = o.nearest
order by o.distance desc, o.outlier desc
