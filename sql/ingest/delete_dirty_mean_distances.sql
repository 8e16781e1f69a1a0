-- Drop the `mean_distances` rows of dirty images.
delete from mean_distances where id in (select id from dirty_instances)
