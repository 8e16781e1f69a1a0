-- Everything known of some images: all columns of their annotations and of their statistics.
-- Returns one row per id that exists, ordered by index.
-- Parameters: $ids ids of images (or of boxes, in boxes mode).
select a.*, s.* exclude (index)
from annotations a
left join img_stats s on s.index = a.index
where a.index in (select unnest(cast($ids as bigint[])))
order by a.index
