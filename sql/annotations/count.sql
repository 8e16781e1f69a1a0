-- The number of instances that are annotated. $valid_only: without those that cannot be used.
select count(*) from facts where is_annotated and (is_valid or not $valid_only)
