-- Drop the `instances` rows of dirty images.
delete from instances where id in (select id from dirty_instances)
