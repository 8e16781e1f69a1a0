-- What the model of run $run_id runs on: $providers, names separated by commas.
update runs set providers = $providers where run_id = $run_id
