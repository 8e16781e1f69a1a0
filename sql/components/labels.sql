-- The labels of the members of the chosen components: component_id, label (list, in id order).
select c.component_id, list(f.label order by c.id) as label
from chosen_components as c
join facts as f on f.fd_index = c.id
group by c.component_id
order by c.component_id
