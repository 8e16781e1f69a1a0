-- Drop the edges from the instances in the Arrow table `incoming` (id), before their new ones are written.
delete from edges where from_id in (select id from incoming)
