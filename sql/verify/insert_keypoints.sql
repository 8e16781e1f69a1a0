-- Append the Arrow table `incoming` (id, error_code, features).
insert into keypoints by name select * from incoming
