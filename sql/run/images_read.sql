-- How many images run $run_id has read.
select coalesce(sum(images), 0) from batches where run_id = $run_id
