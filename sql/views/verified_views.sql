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

-- Each pass of the recursion hands the lowest id one hop on.
create or replace view duplicate_groups as
with recursive
links as (
    select from_id as a, to_id as b from verified where is_duplicate
    union
    select to_id, from_id from verified where is_duplicate
),
labelled(id, component_id) using key (id) as (
    select distinct a, a from links
    union
    select l.b, min(c.component_id)
    from labelled as c
    join links as l on l.a = c.id
    join recurring.labelled as known on known.id = l.b
    where c.component_id < known.component_id
    group by l.b
)
select id, component_id from labelled order by id;

comment on view duplicate_groups is 'Copies of one picture, connected by verified pairs; component_id is the lowest id of the group';
