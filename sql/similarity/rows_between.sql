-- Pairs of neighbours that cross splits (the leaks), most similar first, all columns of both sides.
-- $threshold: lowest similarity, 0 to 1.
select s.*, f.* exclude (is_annotated_from), t.* exclude (is_annotated_to)
from similarity_at($threshold) as s
join chosen as cf on cf.id = s."from"
join chosen as ct on ct.id = s."to"
join (select columns('^(.*)$') as '\1_from' from facts) as f on f.fd_index_from = s."from"
join (select columns('^(.*)$') as '\1_to' from facts) as t on t.fd_index_to = s."to"
where cf.split <> ct.split
order by s.distance desc, s."from", s."to"
