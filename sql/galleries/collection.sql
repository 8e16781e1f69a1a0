-- The size of the collection. Returns one row: images (valid ones), invalid.
select count(*) filter (is_valid) as images, count(*) filter (not is_valid) as invalid
from annotations
