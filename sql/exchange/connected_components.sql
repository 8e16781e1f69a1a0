-- The rows of fastdup's connected_components.csv, from the temp table `component_numbers`: every valid instance. As
-- there, count is twice the number of directed pairs.
select
    id as __id,
    component_id,
    edges as "count",
    printf('%.6f', mean) as mean_distance,
    printf('%.6f', min) as min_distance,
    printf('%.6f', max) as max_distance
from component_numbers
where error_code = 'VALID'
order by id
