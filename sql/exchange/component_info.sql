-- The rows of fastdup's component_info.csv, from the temp table `component_numbers`: components of two images and more.
select
    component_id,
    any_value(edges) as "count",
    printf('%.6f', any_value(mean)) as mean,
    printf('%.6f', any_value(min)) as min,
    printf('%.6f', any_value(max)) as max
from component_numbers
where edges > 0
group by component_id
order by component_id
