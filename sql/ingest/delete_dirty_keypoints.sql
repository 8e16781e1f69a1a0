-- Drop the keypoints of dirty images; runs before their instances are dropped.
delete from keypoints where id in (select id from instances where image_id in (select image_id from dirty))
