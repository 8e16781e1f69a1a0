-- The members of the temp table `dedup_groups` with what the rules look at, as the temp table `dedup_members`.
-- pixels: of the image; bits_per_pixel: of the file, so the higher the less it was compressed; sharpness: blur;
-- is_changed: for mark_changed to say.
create or replace temp table dedup_members as
select
    g.component_id,
    g.id as "index",
    l.filename,
    false as is_changed,
    coalesce(m.truncated, false) as truncated,
    i.img_w,
    i.img_h,
    i.img_w::bigint * i.img_h as pixels,
    m.file_size,
    l.version,
    8.0 * m.file_size / nullif(m.img_w::bigint * m.img_h, 0) as bits_per_pixel,
    s.blur as sharpness,
    m.taken_at
from dedup_groups as g
join instances as i on i.id = g.id
join images as m on m.image_id = i.image_id
join listing as l on l.image_id = i.image_id
left join stats as s on s.id = g.id
