-- The rows of fastdup's atrain_features.bad.csv; filesize in bytes, -1 where it is not known.
select i.id as "index", l.filename, i.error_code, coalesce(m.file_size, -1) as filesize
from instances as i
join listing as l on l.image_id = i.image_id
join images as m on m.image_id = i.image_id
where i.error_code <> 'VALID'
order by i.id
