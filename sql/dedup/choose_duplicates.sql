-- The groups of which one image is kept: copies that verification found, among the temp table `chosen`.
create or replace temp table dedup_groups as
select g.id, min(g.id) over (partition by g.component_id) as component_id
from duplicate_groups as g
where g.id in (select id from chosen)
qualify count(*) over (partition by g.component_id) > 1
