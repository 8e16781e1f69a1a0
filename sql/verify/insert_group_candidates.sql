-- Pairs within one group of copies of at most $most images that no one has looked at: an edit of an edit is often too
-- unlike to be a neighbour.
insert into candidates by name
select a.id as from_id, b.id as to_id, null::double as similarity
from duplicate_groups as a
join duplicate_groups as b on b.component_id = a.component_id and b.id > a.id
join (
    select component_id from duplicate_groups group by component_id having count(*) <= $most
) as small on small.component_id = a.component_id
anti join candidates as c on c.from_id = a.id and c.to_id = b.id
anti join verified as v on v.from_id = a.id and v.to_id = b.id
order by a.id, b.id
