-- The members of components by label, one row per label with at least two of them: label, files, component_id (list),
-- files_ids, distance, len; $direction: 1 for the smallest first, -1 for the largest. Ties by label.
select
    f.label,
    list(f.filename order by c.id) as files,
    list(c.component_id order by c.id) as component_id,
    list(c.id order by c.id) as files_ids,
    min(i.min) as distance,
    count(*) as len
from chosen_components as c
join chosen_info as i on i.component_id = c.component_id
join facts as f on f.fd_index = c.id
where f.label is not null
group by f.label
having count(*) >= 2
order by $direction * count(*), f.label
