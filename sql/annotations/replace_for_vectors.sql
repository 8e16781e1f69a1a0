-- The user's columns per vector of theirs, from the Arrow table `incoming`: "fastdup row" (that of the vector), "fastdup
-- filename", columns.
create or replace table user_annotations as
select l.image_id as id, incoming.* exclude ("fastdup row", "fastdup filename")
from incoming
join listing as l on l.frame_number = incoming."fastdup row"
order by id
