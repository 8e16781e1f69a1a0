-- Annotated instances that cannot be used, with the user's columns. "fastdup row": the place of each among all that are
-- annotated, from 0.
select p."fastdup row", f.* exclude (is_annotated)
from facts as f
join (
    select fd_index, row_number() over (order by fd_index) - 1 as "fastdup row" from facts where is_annotated
) as p on p.fd_index = f.fd_index
where not f.is_valid
order by p."fastdup row"
