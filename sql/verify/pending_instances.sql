-- Instances of candidates without a verdict whose keypoints are still to be found, with where they lie and their box.
select
    l.*,
    i.id,
    i.col_x,
    i.row_y,
    i.width,
    i.height,
    b.x1, b.y1, b.x2, b.y2, b.x3, b.y3, b.x4, b.y4
from (
    select from_id as id from pending_candidates
    union
    select to_id from pending_candidates
) as wanted
join instances as i on i.id = wanted.id
join listing as l on l.image_id = i.image_id
left join boxes as b on b.id = i.id
anti join keypoints as k on k.id = wanted.id
order by l.image_id, i.id
