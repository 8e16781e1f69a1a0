-- Drop the captions of dirty images; runs before their instances are dropped.
delete from captions where id in (select id from instances where image_id in (select image_id from dirty))
