-- How many valid images are of test_dir without neighbours, or have some and are not: by a list of other images than the
-- graph of test_dir was made for.
select count(*)
from instances as i
join listing as l on l.image_id = i.image_id
where i.error_code = 'VALID' and (l.split = 'test') <> (i.id in (select from_id from edges))
