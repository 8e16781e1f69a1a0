-- How many images have been read since neighbours were last looked for.
select coalesce(sum(images), 0)
from batches
where run_id > (select max(run_id) from runs where neighbors_method is not null)
