-- Drop the edges of dirty images, and all edges of their neighbours: those must look for others.
delete from edges
where from_id in (
    select id from instances where image_id in (select image_id from dirty)
    union
    select from_id from edges where to_id in (select id from instances where image_id in (select image_id from dirty))
)
