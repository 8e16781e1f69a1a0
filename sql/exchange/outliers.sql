-- The rows of fastdup's outliers.csv: outlier, its nearest neighbour, six decimals; the most extreme last.
select o.outlier as "from", o.nearest as "to", printf('%.6f', o.distance) as distance
from outliers_at((select outlier_percentile from current_run)) as o
order by o.distance desc, o.outlier desc
