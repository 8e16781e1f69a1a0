-- The chosen components, one row each: component_id, count, mean, min, max.
select component_id, "count", mean, min, max from chosen_info order by component_id
