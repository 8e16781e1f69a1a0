-- The instances an answer is about: those whose split is in the list $splits.
create or replace temp table chosen as
select fd_index as id, split::varchar as split
from facts
where is_valid and split::varchar in (select unnest($splits))
