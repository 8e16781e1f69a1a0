-- How many images have been read since run $run_id, after which near-duplicates were last checked.
select coalesce(sum(images), 0) from batches where run_id > $run_id
