-- Drop the verdicts on dirty images; runs before their instances are dropped.
delete from verified
where
    from_id in (select id from instances where image_id in (select image_id from dirty))
    or to_id in (select id from instances where image_id in (select image_id from dirty))
