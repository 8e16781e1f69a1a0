-- What is known of near-duplicates once they have been checked; empty before.

create or replace view verified_duplicates as
select
    v.from_id as "from",
    v.to_id as "to",
    v.similarity as distance,
    v.score,
    v.kind,
    v.reason,
    v.inliers,
    v.inlier_share,
    v.mirror,
    v.rotation,
    v."scale",
    v.crop_x,
    v.crop_y,
    v.crop_width,
    v.crop_height,
    v.transform
from verified as v
where v.is_duplicate;

comment on view verified_duplicates is 'The ids of verified duplicates, what was done to the copy, and why it counts as one';

create or replace view duplicates as
select d.*, f.*, t.*
from verified_duplicates as d
join (select columns('^(.*)$') as '\1_from' from annotations) as f on f.fd_index_from = d."from"
join (select columns('^(.*)$') as '\1_to' from annotations) as t on t.fd_index_to = d."to"
order by d.score desc nulls last, d.distance desc, d."from", d."to";

comment on view duplicates is 'Pairs that verification found to be one picture: kind of copy, and the transform between them';
