-- The members of the temp table `dedup_members` that are plain files on this machine: index, filename, what opens the
-- file, and its size (bytes) and version when it was listed.
select
    d."index",
    l.filename,
    case when l.member <> '' then l.member else l.filename end as opened_by,
    l.file_size,
    l.version
from dedup_members as d
join instances as i on i.id = d."index"
join listing as l on l.image_id = i.image_id
where l.container = '' and not regexp_matches(l.filename, '^[a-z0-9]+://')
order by d."index"
