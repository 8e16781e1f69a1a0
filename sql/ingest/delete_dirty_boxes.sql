-- Drop the `boxes` rows of dirty images.
delete from boxes where image_id in (select image_id from dirty)
