-- Drop the verdicts that no pixel decided: they follow the lines of the call, or an image that could not be read.
delete from verified
where
    reason in ('equal bytes', 'similarity')
    or from_id in (select id from keypoints where features is null)
    or to_id in (select id from keypoints where features is null)
