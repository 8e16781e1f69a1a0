-- What to keep and what goes, from the temp table `dedup_places`: one row per member, the kept one of each component
-- first. similarity: to the kept one where they are neighbours, else null. version: of the file as it was listed.
with kept as (
    select component_id, "index" as keep_index, filename as keep_filename from dedup_places where place = 1
),
similarities as (
    select least(from_id, to_id) as low, greatest(from_id, to_id) as high, max(similarity) as similarity
    from edges
    where from_id in (select "index" from dedup_places) and to_id in (select "index" from dedup_places)
    group by all
)
select
    p.component_id,
    p."index",
    p.filename,
    p.place = 1 as keep,
    k.keep_index,
    k.keep_filename,
    s.similarity,
    p.img_w,
    p.img_h,
    p.pixels,
    p.file_size,
    p."version",
    p.bits_per_pixel,
    p.sharpness,
    p.taken_at,
    p.truncated
from dedup_places as p
join kept as k on k.component_id = p.component_id
left join similarities as s on s.low = least(p."index", k.keep_index) and s.high = greatest(p."index", k.keep_index)
order by p.component_id, p.place
