-- The valid instances of test_dir, in id order.
select i.id
from instances as i
join listing as l on l.image_id = i.image_id
where i.error_code = 'VALID' and l.split = 'test'
order by i.id
