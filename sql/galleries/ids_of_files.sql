-- The id of each of some files, for frames that name images by file. Of several rows of one file the first one.
-- Returns filename, id; ordered by filename.
-- Parameters: $filenames names as the annotations hold them.
select filename, min("index") as id
from annotations
where filename in (select unnest(cast($filenames as varchar[])))
group by filename
order by filename
