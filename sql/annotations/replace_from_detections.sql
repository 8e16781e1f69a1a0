-- What a detector found, as annotation columns: label, confidence, box in pixels, and the file of the crop, null where
-- crops are not kept.
create or replace table user_annotations as
select id, label, confidence, col_x, row_y, width, height, crop_filename
from instances
order by id
