-- Drop the captions of dirty images.
delete from captions where id in (select id from dirty_instances)
