-- An empty place for the neighbours found, until each pair is kept once.
create or replace temp table found_edges (from_id bigint, to_id bigint, similarity double)
