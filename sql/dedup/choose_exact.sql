-- The groups of which one image is kept: files of the same bytes, among the temp table `chosen`.
create or replace temp table dedup_groups as
select i.id, min(i.id) over (partition by m.content_hash) as component_id
from instances as i
join images as m on m.image_id = i.image_id
where i.id in (select id from chosen) and m.content_hash is not null
qualify count(*) over (partition by m.content_hash) > 1
