-- Append members from the Arrow table `incoming` (id, component_id).
insert into components by name select * from incoming
