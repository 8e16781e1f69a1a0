-- Drop the edges of dirty images, and all edges of their neighbours: those must look for others.
delete from edges
where from_id in (
    select id from dirty_instances
    union
    select from_id from edges where to_id in (select id from dirty_instances)
)
