-- Ids of the stored instances of dirty images, whose vectors must go.
select id from instances where image_id in (select image_id from dirty) order by id
