-- Images that have other boxes than when they were read. Runs after the new listing is stored.
create or replace temp table reboxed as
with stored as (
    select l.filename, b.* exclude (id, image_id), row_number() over (
        partition by b.image_id, col_x, row_y, width, height, x1, y1, x2, y2, x3, y3, x4, y4 order by b.id
    ) as occurrence
    from boxes as b
    join listing as l on l.image_id = b.image_id
),
wanted as (
    select * exclude (box_row) from staged_boxes
),
different as (
    select filename from (from stored except all from wanted)
    union
    select filename from (from wanted except all from stored)
)
select l.image_id
from listing as l
semi join different as d on d.filename = l.filename
