-- The user's columns per box, from the temp table `staged_rows`: "fastdup row", "fastdup filename", columns. A box
-- listed twice pairs off by occurrence, so that no row is joined twice.
create or replace table user_annotations as
with stored as (
    select b.id, l.filename, b.* exclude (id, image_id), row_number() over (
        partition by b.image_id, col_x, row_y, width, height, x1, y1, x2, y2, x3, y3, x4, y4 order by b.id
    ) as occurrence
    from boxes as b
    join listing as l on l.image_id = b.image_id
)
select stored.id, given.* exclude ("fastdup row", "fastdup filename")
from staged_rows as given
join staged_boxes as s on s.box_row = given."fastdup row"
join stored
    on stored.filename = s.filename
    and stored.occurrence = s.occurrence
    and (stored.col_x, stored.row_y, stored.width, stored.height)
        is not distinct from (s.col_x, s.row_y, s.width, s.height)
    and (stored.x1, stored.y1, stored.x2, stored.y2, stored.x3, stored.y3, stored.x4, stored.y4)
        is not distinct from (s.x1, s.y1, s.x2, s.y2, s.x3, s.y3, s.x4, s.y4)
order by stored.id
