-- Drop the `images` rows of dirty images.
delete from images where image_id in (select image_id from dirty)
