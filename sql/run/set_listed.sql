-- The listing of run $run_id is complete; its vectors stand at Lance version $embeddings_version.
update runs set listed = true, embeddings_version = $embeddings_version where run_id = $run_id
