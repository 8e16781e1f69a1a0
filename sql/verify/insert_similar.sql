-- Candidates with similarity >= $upper that nothing else decided: duplicates by their vectors alone.
insert into verified by name
select c.from_id, c.to_id, c.similarity, true as is_duplicate, 'similarity' as reason
from candidates as c
anti join verified as v on v.from_id = c.from_id and v.to_id = c.to_id
where c.similarity >= $upper
order by c.from_id, c.to_id
