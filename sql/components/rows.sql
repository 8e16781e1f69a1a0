-- The members of the chosen components with all their columns.
select c.id as "index", c.component_id, i."count", i.mean as mean_distance, i.min as min_distance, i.max as max_distance,
    a.* exclude ("index", is_annotated)
from chosen_components as c
join chosen_info as i on i.component_id = c.component_id
join facts as a on a.fd_index = c.id
order by c.id
