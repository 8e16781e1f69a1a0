-- Which of some views and tables there are, sorted: label_quality only with labels, and those that came with a later
-- version only after a run of that version. Returns name.
-- Parameters: $names.
select table_name as name
from information_schema.tables
where table_schema = 'main' and table_name in (select unnest(cast($names as varchar[])))
order by table_name
