-- The user's columns per vector of theirs, from the temp table `staged_rows`: "fastdup row" (that of the vector),
-- "fastdup filename", columns.
create or replace table user_annotations as
select l.image_id as id, given.* exclude ("fastdup row", "fastdup filename")
from staged_rows as given
join listing as l on l.frame_number = given."fastdup row"
order by id
