-- How many candidates have no verdict.
select count(*)
from candidates as c
anti join verified as v on v.from_id = c.from_id and v.to_id = c.to_id
