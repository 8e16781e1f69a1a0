-- The instances least similar to anything else, among the temp table `chosen`, most extreme first.
-- $fraction: how many of all valid instances, 0 to 1. Returns outlier, nearest, distance.
select outlier, nearest, distance
from outliers_at($fraction)
where outlier in (select id from chosen) and nearest in (select id from chosen)
order by distance, outlier
