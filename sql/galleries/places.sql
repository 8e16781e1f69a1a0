-- Where the pixels of some images lie.
-- Returns the columns of `listing`, then id and the box in pixels of the upright image: col_x, row_y, width, height, or
-- the corners x1 .. y4 of a rotated one; all null without a box. One row per id that exists, ordered by id.
-- Parameters: $ids ids of images (or of boxes, in boxes mode).
select
    l.*,
    i.id,
    coalesce(b.col_x, i.col_x) as col_x,
    coalesce(b.row_y, i.row_y) as row_y,
    coalesce(b.width, i.width) as width,
    coalesce(b.height, i.height) as height,
    b.x1, b.y1, b.x2, b.y2, b.x3, b.y3, b.x4, b.y4
from instances as i
join listing as l on l.image_id = i.image_id
left join boxes as b on b.id = i.id
where i.id in (select unnest(cast($ids as bigint[])))
order by i.id
