-- The annotations of some images, one row per id that exists, ordered by index.
-- Parameters: $ids ids of images (or of boxes, in boxes mode).
select *
from annotations
where "index" in (select unnest(cast($ids as bigint[])))
order by "index"
