-- Drop the `advanced_stats` rows of dirty images.
delete from advanced_stats where id in (select id from dirty_instances)
