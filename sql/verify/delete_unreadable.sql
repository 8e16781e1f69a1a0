-- Forget which instances could not be read: they are tried again.
delete from keypoints where features is null
