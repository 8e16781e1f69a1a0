-- Append the Arrow table `incoming` to `found_crops`.
insert into found_crops by name select * from incoming
