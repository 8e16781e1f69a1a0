-- What the camera wrote into every image: when, with what, where (degrees), which way up; and the hash of its bytes.
select
    m.image_id as "index",
    l.filename,
    m.taken_at,
    m.camera_make,
    m.camera_model,
    m.latitude,
    m.longitude,
    m.orientation,
    m.content_hash
from images as m
join listing as l on l.image_id = m.image_id
where m.error_code = 'VALID'
order by m.image_id
