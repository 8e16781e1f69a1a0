-- The size of the collection. Returns one row: images (valid ones, or boxes), invalid, is_of_boxes.
select
    count(*) filter (is_valid) as images,
    count(*) filter (not is_valid) as invalid,
    coalesce((select data_type in ('boxes', 'detect') from current_run), false) as is_of_boxes
from annotations
