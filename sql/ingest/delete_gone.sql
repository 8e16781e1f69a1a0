-- Forget the places of images that are no longer in the input.
delete from listing where image_id in (select image_id from gone)
