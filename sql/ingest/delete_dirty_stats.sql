-- Drop the `stats` rows of dirty images; runs before their instances are dropped.
delete from stats where id in (select id from instances where image_id in (select image_id from dirty))
