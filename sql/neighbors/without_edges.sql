-- Valid instances whose neighbours are to be found, in id order.
select i.id
from instances as i
anti join edges as e on e.from_id = i.id
where i.error_code = 'VALID'
order by i.id
