-- Begin a run: a new last row of `runs`, which takes over the vectors and the transform of the run before it, and how
-- far its near-duplicates are checked.
-- $config: JSON; $fingerprint: what decides how an image becomes rows; the other parameters are the run's settings.
insert into runs by name
select
    coalesce(max(run_id) + 1, 0) as run_id,
    $package_version as package_version,
    $config as config,
    $fingerprint as fingerprint,
    $input_dir as input_dir,
    $data_type as data_type,
    $distance as distance,
    $threshold as threshold,
    $cc_threshold as cc_threshold,
    $outlier_percentile as outlier_percentile,
    $has_annotations as has_annotations,
    $listed as listed,
    arg_max_null(embeddings_version, run_id) as embeddings_version,
    arg_max_null(vectors_version, run_id) as vectors_version,
    arg_max_null(dimension, run_id) as dimension,
    arg_max_null(transform, run_id) as transform,
    arg_max_null(transform_images, run_id) as transform_images,
    coalesce(arg_max_null(verifying, run_id), false) as verifying,
    arg_max_null(verified_run, run_id) as verified_run
from runs
