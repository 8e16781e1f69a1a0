-- Whether a check of near-duplicates is under way from now on: $verifying.
update runs set verifying = $verifying where run_id = (select max(run_id) from runs)
