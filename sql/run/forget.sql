-- Take back the row of the run $run_id, which ended before it had changed anything.
delete from runs where run_id = $run_id
