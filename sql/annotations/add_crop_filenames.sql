-- The file each crop was saved to, beside the annotations of its box; null where crops are not kept.
create or replace table user_annotations as
select i.id, u.* exclude (id), i.crop_filename
from instances as i
join user_annotations as u on u.id = i.id
order by i.id
