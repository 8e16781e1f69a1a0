-- Append distances from the Arrow table `incoming` (id, distance).
insert into mean_distances by name select * from incoming
