-- Valid instances whose distance from the collection's mean is to be measured, in id order.
select i.id
from instances as i
anti join mean_distances as d on d.id = i.id
where i.error_code = 'VALID'
order by i.id
