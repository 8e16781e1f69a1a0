-- The size of the collection. Returns one row: images (valid ones, or boxes), invalid, is_of_boxes, has_neighbors,
-- threshold (lowest similarity of a pair, that of the run).
select
    count(*) filter (is_valid) as images,
    count(*) filter (not is_valid) as invalid,
    coalesce((select data_type in ('boxes', 'detect') from current_run), false) as is_of_boxes,
    coalesce((select vectors_version > 0 from current_run), false) as has_neighbors,
    (select threshold from current_run) as threshold
from annotations
