-- Stored images that are no longer in the input.
create or replace temp table gone as
select l.image_id
from listing as l
anti join staged as s on s.filename = l.filename
