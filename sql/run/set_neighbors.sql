-- Run $run_id has its graph: the Lance version of the search vectors, the transform they were made with (null for
-- none) and how many images it was fitted on, the way neighbours were found and the seconds it took.
update runs set
    vectors_version = $vectors_version,
    transform = $transform,
    transform_images = $transform_images,
    neighbors_method = $neighbors_method,
    neighbors_seconds = $neighbors_seconds
where run_id = $run_id
