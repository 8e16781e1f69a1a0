-- Run $run_id has its graph: the Lance version of the search vectors, the transform they were made with (null for
-- none) and how many images it was fitted on, the way neighbours were found, its measured recall and the seconds it
-- took; and the index that searches use: its kind ('Flat' for none), bytes, seconds and measured recall.
update runs set
    vectors_version = $vectors_version,
    transform = $transform,
    transform_images = $transform_images,
    neighbors_method = $neighbors_method,
    neighbors_recall = $neighbors_recall,
    neighbors_seconds = $neighbors_seconds,
    index_kind = $index_kind,
    index_bytes = $index_bytes,
    index_seconds = $index_seconds,
    index_recall = $index_recall
where run_id = $run_id
