-- What was measured of some images, one row per id that was, ordered by index. Returns index, img_w, img_h (pixels),
-- file_size (bytes), truncated, and the columns of stats and advanced_stats (null where the run made none).
-- Parameters: $ids ids of images (or of boxes, in boxes mode).
select s.id as "index", i.img_w, i.img_h, m.file_size, m.truncated, s.* exclude (id), a.* exclude (id)
from stats as s
join instances as i on i.id = s.id
join images as m on m.image_id = i.image_id
left join advanced_stats as a on a.id = s.id
where s.id in (select unnest(cast($ids as bigint[])))
order by s.id
