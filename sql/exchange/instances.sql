-- Valid instances with where they lie in their image: id, image_id, filename, the box (the whole image where there is
-- none) in pixels, the size of the image. Their label is in `annotations`.
select
    i.id,
    i.image_id,
    l.filename,
    coalesce(i.col_x, 0) as col_x,
    coalesce(i.row_y, 0) as row_y,
    coalesce(i.width, m.img_w) as width,
    coalesce(i.height, m.img_h) as height,
    m.img_w,
    m.img_h,
    i.confidence
from instances as i
join images as m on m.image_id = i.image_id
join listing as l on l.image_id = i.image_id
where i.error_code = 'VALID'
order by i.id
