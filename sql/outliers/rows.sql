-- The instances least similar to anything else, among the temp table `chosen`, most extreme first, all columns.
-- $fraction: how many of all valid instances, 0 to 1.
select o.*, f.* exclude (is_annotated_outlier), t.* exclude (is_annotated_nearest)
from outliers_at($fraction) as o
join (select columns('^(.*)$') as '\1_outlier' from facts) as f on f.fd_index_outlier = o.outlier
join (select columns('^(.*)$') as '\1_nearest' from facts) as t on t.fd_index_nearest = o.nearest
where o.outlier in (select id from chosen) and o.nearest in (select id from chosen)
order by o.distance, o.outlier
