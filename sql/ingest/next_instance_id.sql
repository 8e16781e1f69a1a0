-- The id that the next detected box gets.
select coalesce(max(id) + 1, 0) from instances
