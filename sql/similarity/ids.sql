-- Pairs of neighbours among the instances in the temp table `chosen`, most similar first.
-- $threshold: lowest similarity, 0 to 1. Returns from, to, distance.
select s."from", s."to", s.distance
from similarity_at($threshold) as s
where s."from" in (select id from chosen) and s."to" in (select id from chosen)
order by s.distance desc, s."from", s."to"
