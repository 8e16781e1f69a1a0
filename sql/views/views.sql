-- What users and BI tools see. Made anew at the end of every run, since user columns come and go.
-- Ids are the positions in the input's listing (or of the boxes in the annotations), from 0.
-- distance is a similarity: 1 = identical, for every metric.

create or replace view current_run as
select * from runs order by run_id desc limit 1;

comment on view current_run is 'Settings of the last run and what it found out';

-- One row per instance with all that is known of it; the base of everything below. A column of the user's that is called
-- `id` is stored as `your id`.
create or replace view facts as
select
    l.filename,
    u.* exclude ("fastdup id"),
    c.* exclude (id),
    i.id as "index",
    i.error_code,
    i.error_code = 'VALID' as is_valid,
    i.id as fd_index,
    u."fastdup id" is not null or not (select has_annotations from current_run) as is_annotated
from instances as i
join listing as l on l.image_id = i.image_id
left join (
    select columns('(?s)^(?:your )?(.*)$') as '\1' from (select id as "fastdup id", * exclude (id) from user_annotations)
) as u on u."fastdup id" = i.id
left join newest_captions as c on c.id = i.id;

comment on view facts is 'All that is known of every image or box, also those without an annotation';

create or replace view annotations as
select * exclude (is_annotated) from facts where is_annotated order by "index";

comment on view annotations is 'One row per image or box: file name, the columns you brought, error code';

create or replace view invalid_instances as
select * from annotations where not is_valid order by "index";

comment on view invalid_instances is 'Images and boxes that cannot be used, and why';

create or replace view similarity as
select s.*, f.*, t.*
from similarity_at((select threshold from current_run)) as s
join (select columns('^(.*)$') as '\1_from' from annotations) as f on f.fd_index_from = s."from"
join (select columns('^(.*)$') as '\1_to' from annotations) as t on t.fd_index_to = s."to"
order by s.distance desc, s."from", s."to";

comment on view similarity is 'Pairs of neighbours with similarity (column distance, 1 = identical) >= the run''s threshold';

create or replace view outliers as
select o.*, f.*, t.*
from outliers_at((select outlier_percentile from current_run)) as o
join (select columns('^(.*)$') as '\1_outlier' from annotations) as f on f.fd_index_outlier = o.outlier
join (select columns('^(.*)$') as '\1_nearest' from annotations) as t on t.fd_index_nearest = o.nearest
order by o.distance, o.outlier;

comment on view outliers is 'Images least similar to anything else, most extreme first';

create or replace view component_edges as
select c.component_id, e.from_id, e.to_id, e.similarity
from edges as e
join components as c on c.id = e.from_id
where e.similarity >= (select cc_threshold::float from current_run);

comment on view component_edges is 'The pairs that hold each component together';

create or replace view component_info as
select m.component_id, m."count", s.mean, s.min, s.max
from (select component_id, count(*) as "count" from components group by component_id) as m
join (
    select component_id, avg(similarity) as mean, min(similarity) as min, max(similarity) as max
    from component_edges
    group by component_id
) as s on s.component_id = m.component_id
order by m.component_id;

comment on view component_info is 'Size of each component, images without an annotation included, and the mean, lowest and highest similarity of its pairs';

create or replace view connected_components as
select
    c.id as "index",
    c.component_id,
    i."count",
    i.mean as mean_distance,
    i.min as min_distance,
    i.max as max_distance,
    a.* exclude ("index", is_annotated)
from components as c
join component_info as i on i.component_id = c.component_id
join facts as a on a.fd_index = c.id
order by c.id;

comment on view connected_components is 'Every image that belongs to a component (cluster of near-duplicates), also those without an annotation';

create or replace view img_stats as
select
    s.id as "index",
    i.img_w,
    i.img_h,
    s."unique",
    s.blur,
    s.mean,
    s.min,
    s.max,
    s.stdv,
    m.file_size,
    s.contrast,
    m.truncated,
    a.* exclude ("index")
from stats as s
join instances as i on i.id = s.id
join images as m on m.image_id = i.image_id
join annotations as a on a.fd_index = s.id
order by s.id;

comment on view img_stats is 'Statistics per image or crop: mean, min, max, stdv of all pixels and channels (0 to 255), file_size in bytes, blur = variance of the gray Laplacian';

create or replace view img_stats_advanced as
select b."index", a.* exclude (id), b.* exclude ("index")
from img_stats as b
join advanced_stats as a on a.id = b."index"
order by b."index";

comment on view img_stats_advanced is 'Statistics with colour, contrast and edges; filled by run_advanced_stats=True';

create or replace view exact_duplicates as
select
    m.content_hash,
    count(*) as "count",
    min(m.image_id) as first_image_id,
    list(l.filename order by m.image_id) as filenames
from images as m
join listing as l on l.image_id = m.image_id
where m.error_code = 'VALID' and m.content_hash is not null
group by m.content_hash
having count(*) > 1
order by first_image_id;

comment on view exact_duplicates is 'Files with the same bytes, one row per group';

create or replace view images_without_detections as
select m.image_id, l.filename
from images as m
join listing as l on l.image_id = m.image_id
anti join instances as i on i.image_id = m.image_id
where m.error_code = 'VALID' and (select data_type from current_run) = 'detect'
order by m.image_id;

comment on view images_without_detections is 'Images in which the detector of bounding_box=... found nothing';

create or replace view searchable as
select
    i.img_w,
    i.img_h,
    m.file_size,
    m.truncated,
    m.taken_at,
    s.* exclude (id),
    a.* exclude (id),
    -- last: a column of the user's that is named like one of these becomes <name>_1
    f.* exclude ("index", error_code, is_valid)
from facts as f
join instances as i on i.id = f.fd_index
join images as m on m.image_id = i.image_id
left join stats as s on s.id = f.fd_index
left join advanced_stats as a on a.id = f.fd_index
where f.is_valid;

comment on view searchable is 'What search(where=...) may ask: your columns and the statistics of every valid image or box';

-- Images without an annotation may be all that links others: without them such a component is made anew.
create or replace view partly_annotated_components as
select distinct c.component_id
from components as c
join facts as f on f.fd_index = c.id
where not f.is_annotated;

comment on view partly_annotated_components is 'Components with members that have no annotation';

create or replace view partly_annotated_edges as
select e.from_id, e.to_id, e.similarity
from component_edges as e
join partly_annotated_components as p on p.component_id = e.component_id
join annotations as f on f.fd_index = e.from_id
join annotations as t on t.fd_index = e.to_id;

comment on view partly_annotated_edges is 'The pairs of annotated images in components with members that have no annotation';

create or replace view annotated_components as
select id, component_id
from components
where component_id not in (select component_id from partly_annotated_components)
union all
select id, component_id from components_of('partly_annotated_edges', -1)
order by id;

comment on view annotated_components is 'Members of the components that images with an annotation form among themselves; all components where there are no annotations';

create or replace view summary as
with counted as (
    select
        count(*) as images,
        count(*) filter (is_valid) as valid,
        count(*) filter (not is_valid) as invalid
    from annotations
),
clusters as (
    select
        count(*) as components,
        coalesce(sum(members), 0)::bigint as clustered,
        coalesce(max(members), 0) as largest_component
    from (select count(*) as members from annotated_components group by component_id)
),
unlike as (
    select count(*) as outliers from outliers
),
looks as (
    select
        count(*) filter (blur < 150) as blurry,
        count(*) filter (mean > 253) as bright,
        count(*) filter (mean < 4) as dark
    from img_stats
)
select counted.*, clusters.*, unlike.*, looks.*
from counted
cross join clusters
cross join unlike
cross join looks;

comment on view summary is 'One row: how many images (or boxes) there are, are valid, belong to clusters, are outliers, blurry (blur < 150), bright (mean > 253) or dark (mean < 4); those with an annotation where there are annotations';
