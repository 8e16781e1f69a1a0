-- The labels that the input's layout says, where the user brought no annotations.
create or replace table user_annotations as
select image_id as id, nullif(label, '') as label from listing where label <> '' order by id
