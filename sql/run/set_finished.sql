-- Run $run_id is complete.
update runs set finished_at = current_timestamp where run_id = $run_id
