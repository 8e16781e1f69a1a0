-- The rows of fastdup's atrain_features.dat.csv: id and file name of every valid instance, in the order of the vectors.
select i.id as "index", coalesce(i.crop_filename, l.filename) as filename
from instances as i
join listing as l on l.image_id = i.image_id
where i.error_code = 'VALID'
order by i.id
