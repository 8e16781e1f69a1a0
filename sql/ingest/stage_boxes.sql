-- The boxes of this run, from the Arrow table `incoming` (box_row, filename, box and corner columns in pixels).
-- occurrence: the same box twice in one image is two instances.
create or replace temp table staged_boxes as
select
    incoming.*,
    row_number() over (
        partition by filename, col_x, row_y, width, height, x1, y1, x2, y2, x3, y3, x4, y4 order by box_row
    ) as occurrence
from incoming
