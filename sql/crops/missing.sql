-- Boxes that have no crop and could have one: how many there are, and the least and greatest id of an image with some.
-- One row.
select count(*) as boxes, min(image_id) as "first", max(image_id) as "last"
from instances
where error_code = 'VALID' and col_x is not null and crop_filename is null
