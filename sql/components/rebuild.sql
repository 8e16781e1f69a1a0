-- Components of the stored edges with similarity >= $threshold (0 to 1); component_id is the lowest id in it.
create or replace table components as select id, component_id from components_at($threshold)
