-- Files of the listing that are not in the table `wanted` but have size and version in common with one that is:
-- they may be the same file under another name. Returns what opens them.
select distinct case when l.member <> '' then l.member else l.filename end as opened_by
from listing as l
join listing as w on w.file_size = l.file_size and w.version = l.version
where
    l.container = ''
    and w.filename in (select filename from wanted)
    and l.filename not in (select filename from wanted)
order by opened_by
