-- The table of vectors was taken back to what the last marker names; that state is now Lance version $version.
update runs set vectors_version = $version where run_id = (select max(run_id) from runs)
