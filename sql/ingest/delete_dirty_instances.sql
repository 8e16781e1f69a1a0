-- Drop the `instances` rows of dirty images.
delete from instances where image_id in (select image_id from dirty)
