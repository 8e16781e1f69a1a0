-- The labels and splits that the input's layout says, where the user brought no annotations.
create or replace table user_annotations as
select image_id as id, nullif(label, '') as label, nullif(split, '') as split
from listing
where label <> '' or split <> ''
order by id
