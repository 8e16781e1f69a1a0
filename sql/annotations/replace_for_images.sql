-- The user's columns per image, from the temp table `staged_rows`: "fastdup row", "fastdup filename", columns.
create or replace table user_annotations as
select l.image_id as id, given.* exclude ("fastdup row", "fastdup filename")
from staged_rows as given
join listing as l on l.filename = given."fastdup filename"
order by id
