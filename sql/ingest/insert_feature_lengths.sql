-- Append the Arrow table `incoming` to `feature_lengths`.
insert into feature_lengths by name select * from incoming
