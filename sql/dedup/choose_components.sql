-- The groups of which one image is kept: the components in the temp table `chosen_components`.
create or replace temp table dedup_groups as select id, component_id from chosen_components
