-- How many references are still to be read.
select count(*)
from listing as l
anti join images as i on i.image_id = l.image_id
