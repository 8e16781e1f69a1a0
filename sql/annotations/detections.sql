-- What a detector found, one row per box: the content of atrain_crops.csv. Pixels of the upright image.
select
    i.id as "index",
    l.filename,
    i.crop_filename,
    i.col_x,
    i.row_y,
    i.width,
    i.height,
    i.label,
    i.confidence
from instances as i
join listing as l on l.image_id = i.image_id
where i.error_code = 'VALID'
order by i.id
