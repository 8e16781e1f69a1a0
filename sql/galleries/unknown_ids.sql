-- Which of some ids no row of the annotations has, for frames that name images by id.
-- Returns id; each once, in order.
-- Parameters: $ids ids of images (or of boxes, in boxes mode).
select distinct w.id
from (select unnest(cast($ids as bigint[])) as id) as w
anti join annotations as a on a."index" = w.id
order by w.id
