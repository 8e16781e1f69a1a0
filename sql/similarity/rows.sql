-- Pairs of neighbours among the instances in the temp table `chosen`, most similar first, all columns of both sides.
-- $threshold: lowest similarity, 0 to 1.
select s.*, f.* exclude (is_annotated_from), t.* exclude (is_annotated_to)
from similarity_at($threshold) as s
join (select columns('^(.*)$') as '\1_from' from facts) as f on f.fd_index_from = s."from"
join (select columns('^(.*)$') as '\1_to' from facts) as t on t.fd_index_to = s."to"
where s."from" in (select id from chosen) and s."to" in (select id from chosen)
order by s.distance desc, s."from", s."to"
