-- The position that the next staged reference gets.
select coalesce(max(position) + 1, 0) from staged
