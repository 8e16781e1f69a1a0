-- Verified pairs among the instances in the temp table `chosen`, best first, all columns of both sides.
-- $kind: one kind of copy, null for all.
select d.*, f.* exclude (is_annotated_from), t.* exclude (is_annotated_to)
from verified_duplicates as d
join (select columns('^(.*)$') as '\1_from' from facts) as f on f.fd_index_from = d."from"
join (select columns('^(.*)$') as '\1_to' from facts) as t on t.fd_index_to = d."to"
where d."from" in (select id from chosen) and d."to" in (select id from chosen) and ($kind is null or d.kind = $kind)
order by d.score desc nulls last, d.distance desc, d."from", d."to"
