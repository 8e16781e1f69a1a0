-- The user's columns per image, from the Arrow table `incoming` (annotation_row, annotation_filename, columns).
create or replace table user_annotations as
select l.image_id as id, incoming.* exclude (annotation_row, annotation_filename)
from incoming
join listing as l on l.filename = incoming.annotation_filename
order by id
