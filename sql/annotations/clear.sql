-- No annotations in this run.
create or replace table user_annotations (id bigint)
