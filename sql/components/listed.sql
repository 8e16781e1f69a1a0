-- What the annotations say in their column $column of the members of the chosen components: component_id, listed (list,
-- in id order).
select c.component_id, list(f.said order by c.id) as listed
from chosen_components as c
join (select fd_index, columns(lambda col: col = $column) as said from facts) as f on f.fd_index = c.id
group by c.component_id
order by c.component_id
