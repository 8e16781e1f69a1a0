-- A check of near-duplicates begins.
update runs set verifying = true where run_id = (select max(run_id) from runs)
