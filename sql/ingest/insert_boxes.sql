-- Boxes of images whose boxes are not stored get the next ids, in annotation order.
insert into boxes by name
select
    (select coalesce(max(id) + 1, 0) from boxes) + row_number() over (order by s.box_row) - 1 as id,
    l.image_id,
    s.* exclude (box_row, filename, occurrence)
from staged_boxes as s
join listing as l on l.filename = s.filename
where l.image_id not in (select image_id from boxes)
