-- The staged filename that each user-given name means. `candidates`: name_row, priority (lower wins), filename.
-- Returns name_row, filename for the names that are found, one row each.
select c.name_row, arg_min(c.filename, c.priority) as filename
from candidates as c
join staged as s on s.filename = c.filename
group by c.name_row
order by c.name_row
