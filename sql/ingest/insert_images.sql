-- Append the Arrow table `incoming` to `images`.
insert into images by name select * from incoming
