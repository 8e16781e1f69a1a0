-- The file each crop was saved to, beside the annotations of its box; null where crops are not kept. Where there are no
-- annotations, of every box.
create or replace table user_annotations as
select i.id, u.* exclude (id), i.crop_filename
from instances as i
left join user_annotations as u on u.id = i.id
where u.id is not null or not exists (from user_annotations)
order by i.id
