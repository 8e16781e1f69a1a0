-- Ids of the stored instances of dirty images, whose vectors must go.
select id from dirty_instances order by id
