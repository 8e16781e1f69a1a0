-- References that are still to be read, in id order.
select l.*
from listing as l
anti join images as i on i.image_id = l.image_id
order by l.image_id
