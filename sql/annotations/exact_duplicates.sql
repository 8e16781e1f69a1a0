-- Groups of files with the same bytes, the largest first: count, files (list), files_ids (list of image ids),
-- content_hash. Ties by the lowest id.
select
    count(*) as "count",
    list(l.filename order by m.image_id) as files,
    list(m.image_id order by m.image_id) as files_ids,
    m.content_hash
from images as m
join listing as l on l.image_id = m.image_id
where m.error_code = 'VALID' and m.content_hash is not null
group by m.content_hash
having count(*) > 1
order by "count" desc, min(m.image_id)
