-- How many valid instances have no neighbours yet.
select count(*)
from instances as i
anti join edges as e on e.from_id = i.id
where i.error_code = 'VALID'
