-- Ids and file names of the valid instances, in id order.
select i.id, l.filename
from instances as i
join listing as l on l.image_id = i.image_id
where i.error_code = 'VALID'
order by i.id
