-- Groups of copies: what verified pairs connect, largest first.
select g.component_id, count(*) as "count", list(l.filename order by g.id) as files, list(g.id order by g.id) as files_ids
from duplicate_groups as g
join instances as i on i.id = g.id
join listing as l on l.image_id = i.image_id
group by g.component_id
order by "count" desc, g.component_id
