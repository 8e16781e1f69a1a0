-- The first file of the staged listing that lies in one of $folders, each ending in a separator; no row where none does.
select filename
from staged
where exists (select 1 from (select unnest($folders) as folder) where starts_with(filename, folder))
order by position
limit 1
