-- The user's columns per image, from the Arrow table `incoming`: "fastdup row", "fastdup filename", columns.
create or replace table user_annotations as
select l.image_id as id, incoming.* exclude ("fastdup row", "fastdup filename")
from incoming
join listing as l on l.filename = incoming."fastdup filename"
order by id
