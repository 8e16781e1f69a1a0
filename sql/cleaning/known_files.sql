-- Rows of the listing with the file names in the table `wanted`, in order of the listing: filename, what opens it,
-- its size (bytes) and version when it was listed, and whether it is a plain file on this machine.
select
    l.filename,
    case when l.container = '' and l.member <> '' then l.member else l.filename end as opened_by,
    l.file_size,
    l.version,
    l.container = '' and not regexp_matches(l.filename, '^[a-z0-9]+://') as is_plain
from listing as l
where l.filename in (select filename from wanted)
order by l.image_id
