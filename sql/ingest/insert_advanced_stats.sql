-- Append the Arrow table `incoming` to `advanced_stats`.
insert into advanced_stats by name select * from incoming
