-- The Lance version of the embeddings that belongs to the committed rows of run $run_id, and their width.
update runs set embeddings_version = $version, dimension = $dimension where run_id = $run_id
