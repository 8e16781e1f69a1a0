-- Drop the `stats` rows of dirty images.
delete from stats where id in (select id from dirty_instances)
