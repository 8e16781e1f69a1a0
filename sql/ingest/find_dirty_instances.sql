-- The stored instances of dirty images.
create or replace temp table dirty_instances as
select id from instances where image_id in (select image_id from dirty)
