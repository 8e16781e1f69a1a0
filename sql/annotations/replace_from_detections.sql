-- What a detector found, as annotation columns: label, confidence, box in pixels.
create or replace table user_annotations as
select id, label, confidence, col_x, row_y, width, height
from instances
order by id
