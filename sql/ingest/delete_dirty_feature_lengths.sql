-- Drop the `feature_lengths` rows of dirty images.
delete from feature_lengths where id in (select id from dirty_instances)
