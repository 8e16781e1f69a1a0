-- Which of some ids the collection does not have, for frames and labels that name images by id.
-- Returns id; each once, in order.
-- Parameters: $ids ids of images (or of boxes, in boxes mode); $annotated those without an annotation are unknown, too.
select distinct w.id
from (select unnest(cast($ids as bigint[])) as id) as w
anti join facts as a on a."index" = w.id and (a.is_annotated or not $annotated)
order by w.id
