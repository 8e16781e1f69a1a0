-- A check of near-duplicates has ended: its verdicts are of what the last run has stored.
update runs set verifying = false, verified_run = run_id where run_id = (select max(run_id) from runs)
