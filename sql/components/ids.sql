-- The members of the chosen components: index, component_id, count, mean_distance, min_distance, max_distance.
select c.id as "index", c.component_id, i."count", i.mean as mean_distance, i.min as min_distance, i.max as max_distance
from chosen_components as c
join chosen_info as i on i.component_id = c.component_id
order by c.id
