-- Images of a COCO file: id, file_name, width, height; those that could be read.
select m.image_id as id, l.filename as file_name, m.img_w as width, m.img_h as height
from images as m
join listing as l on l.image_id = m.image_id
where m.error_code = 'VALID'
order by m.image_id
