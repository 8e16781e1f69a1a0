-- Append edges from the Arrow table `incoming` (from_id, to_id, similarity, rank).
insert into edges by name select * from incoming
