-- Take crops that no instance names out of `found_crops`, 100,000 at most; returns their filenames.
-- Some file systems give accents back in another form than they were written in.
delete from found_crops
where rowid in (
    select f.rowid
    from found_crops as f
    anti join instances as i on nfc_normalize(i.crop_filename) = nfc_normalize(f.filename)
    limit 100000
)
returning filename
