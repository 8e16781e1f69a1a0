-- Verified pairs among the instances in the temp table `chosen`, best first. $kind: one kind of copy, null for all.
select *
from verified_duplicates as d
where d."from" in (select id from chosen) and d."to" in (select id from chosen) and ($kind is null or d.kind = $kind)
order by d.score desc nulls last, d.distance desc, d."from", d."to"
