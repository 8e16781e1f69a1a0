-- The commit point of a batch: $run_id, and how many $images and $instances it brought.
insert into batches (batch_id, run_id, images, instances)
select coalesce(max(batch_id) + 1, 0), $run_id, $images, $instances from batches
