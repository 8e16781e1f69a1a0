-- The temp view `measured`: what was measured of every annotated image, one row each. Columns index, img_w, img_h
-- (pixels), file_size (bytes), truncated, and those of stats and advanced_stats (null where the run made none).
create or replace temp view measured as
select s.id as "index", i.img_w, i.img_h, m.file_size, m.truncated, s.* exclude (id), a.* exclude (id)
from stats as s
semi join annotations as u on u."index" = s.id
join instances as i on i.id = s.id
join images as m on m.image_id = i.image_id
left join advanced_stats as a on a.id = s.id
