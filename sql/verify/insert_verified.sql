-- Append verdicts from the Arrow table `incoming`.
insert into verified by name select * from incoming
