-- Drop the keypoints of dirty images.
delete from keypoints where id in (select id from dirty_instances)
