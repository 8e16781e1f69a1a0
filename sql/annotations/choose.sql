-- The instances an answer is about: those annotated, or all with $include_unannotated.
create or replace temp table chosen as
select fd_index as id, null::varchar as split
from facts
where is_valid and (is_annotated or $include_unannotated)
