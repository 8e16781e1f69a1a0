-- Candidates without a verdict, in order.
select c.from_id, c.to_id, c.similarity
from candidates as c
anti join verified as v on v.from_id = c.from_id and v.to_id = c.to_id
order by c.from_id, c.to_id
