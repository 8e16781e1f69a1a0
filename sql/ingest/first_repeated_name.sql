-- A name that the staged or the stored listing holds more than once, where there is a stored one to compare with; else
-- no row.
select filename
from (
    select filename from staged group by filename having count(*) > 1
    union all
    select filename from listing group by filename having count(*) > 1
)
where exists (select 1 from listing)
order by filename
limit 1
