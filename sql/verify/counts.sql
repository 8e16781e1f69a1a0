-- What the last check did: candidates, checked pairs, duplicates, unreadable instances.
select
    (select count(*) from candidates) as candidates,
    (select count(*) from verified) as pairs,
    (select count(*) from verified where is_duplicate) as duplicates,
    (select count(*) from keypoints where features is null) as unreadable
