-- Append the Arrow table `incoming` to `stats`.
insert into stats by name select * from incoming
