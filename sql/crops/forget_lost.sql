-- Forget the crops of images of which one is not in `found_crops`, so that all of them are made again: their names count
-- the boxes of an image.
update instances set crop_filename = null
where image_id in (
    select i.image_id
    from instances as i
    anti join found_crops as f on nfc_normalize(f.filename) = nfc_normalize(i.crop_filename)
    where i.crop_filename is not null
)
