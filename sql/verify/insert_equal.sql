-- Candidates whose files hold the same bytes are exact copies without a look; not with $boxes, which are parts of files.
insert into verified by name
select
    c.from_id,
    c.to_id,
    c.similarity,
    1.0 as score,
    true as is_duplicate,
    'exact' as kind,
    'equal bytes' as reason,
    false as mirror,
    0.0 as rotation,
    1.0 as "scale",
    0.0 as crop_x,
    0.0 as crop_y,
    a.img_w::double as crop_width,
    a.img_h::double as crop_height,
    [1.0, 0, 0, 0, 1, 0, 0, 0]::double[] as transform
from pending_candidates as c
join images as a on a.image_id = c.from_id
join images as b on b.image_id = c.to_id
where not $boxes and a.content_hash = b.content_hash
order by c.from_id, c.to_id
