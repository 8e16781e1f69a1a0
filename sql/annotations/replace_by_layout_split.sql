-- The splits that the input's layout says, where the user brought no annotations.
create or replace table user_annotations as
select image_id as id, nullif(split, '') as split from listing where split <> '' order by id
