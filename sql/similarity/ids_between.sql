-- Pairs of neighbours that cross splits: both sides in the temp table `chosen`, with different splits.
-- $threshold: lowest similarity, 0 to 1. Returns from, to, distance.
select s."from", s."to", s.distance
from similarity_at($threshold) as s
join chosen as f on f.id = s."from"
join chosen as t on t.id = s."to"
where f.split <> t.split
order by s.distance desc, s."from", s."to"
