-- The pairs of `found_edges`, each once with the lower id first.
create or replace table candidates as
select least(from_id, to_id) as from_id, greatest(from_id, to_id) as to_id, max(similarity) as similarity
from found_edges
group by all
order by from_id, to_id
