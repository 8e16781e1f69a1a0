-- Append the Arrow table `incoming` (from_id, to_id, similarity), those at or above $lower.
insert into found_edges by name
select from_id, to_id, similarity from incoming where similarity >= $lower
