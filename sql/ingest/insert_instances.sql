-- Append the Arrow table `incoming` to `instances`.
insert into instances by name select * from incoming
