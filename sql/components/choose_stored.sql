-- The components as stored by the run.
create or replace temp table chosen_components as select id, component_id from components
