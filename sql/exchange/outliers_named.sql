-- The rows of the outliers.csv of fastdup's module-level run: file names; the most extreme last.
select f.filename as "from", t.filename as "to", printf('%.6f', o.distance) as distance
from outliers_at((select outlier_percentile from current_run)) as o
join facts as f on f.fd_index = o.outlier
join facts as t on t.fd_index = o.nearest
order by o.distance desc, o.outlier desc
