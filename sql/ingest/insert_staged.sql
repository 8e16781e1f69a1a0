-- Append the references in the Arrow table `incoming` (columns of `staged`).
insert into staged by name select * from incoming
