-- Candidates with similarity >= $upper that nothing else decided: duplicates by their vectors alone.
insert into verified by name
select c.from_id, c.to_id, c.similarity, true as is_duplicate, 'similarity' as reason
from pending_candidates as c
where c.similarity >= $upper
order by c.from_id, c.to_id
