-- All columns of some images in one view, one row per id that exists, ordered by index.
-- Parameters: $view 'annotations' or the view of the statistics; $ids ids of images (or of boxes, in boxes mode).
select *
from query_table($view)
where "index" in (select unnest(cast($ids as bigint[])))
order by "index"
