-- The rows of the similarity.csv of fastdup's module-level run: pairs of file names (for saved crops, the names of the
-- crops) instead of ids; most similar first.
with names as (
    select i.id, coalesce(i.crop_filename, l.filename) as name
    from instances as i
    join listing as l on l.image_id = i.image_id
)
select f.name as "from", t.name as "to", printf('%.6f', s.distance) as distance
from similarity_at((select threshold from current_run)) as s
join names as f on f.id = s."from"
join names as t on t.id = s."to"
order by s.distance desc, s."from", s."to"
