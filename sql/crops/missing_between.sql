-- Usable boxes without a crop of the images $first to $last (ids, inclusive), grouped by image, in box order.
-- Returns where the image lies (the columns of `listing`), id, and the box in pixels of the upright image: col_x, row_y,
-- width, height, and the corners x1 .. y4 of a rotated one.
select
    l.*,
    i.id,
    i.col_x,
    i.row_y,
    i.width,
    i.height,
    b.x1, b.y1, b.x2, b.y2, b.x3, b.y3, b.x4, b.y4
from instances as i
join listing as l on l.image_id = i.image_id
left join boxes as b on b.id = i.id and b.image_id = i.image_id
where
    i.image_id between $first and $last
    and l.image_id between $first and $last
    and i.error_code = 'VALID' and i.col_x is not null and i.crop_filename is null
order by i.image_id, i.id
