-- fastdup's number of every component, singletons and invalid images too: counted by their lowest id, from 0.
-- As the temp table `component_numbers`, with `edges`, twice the directed pairs that hold it together, and their
-- similarities.
create or replace temp table component_numbers as
with roots as (
    select i.id, i.error_code, coalesce(c.component_id, i.id) as root
    from instances as i
    left join components as c on c.id = i.id
),
held as (
    select
        component_id as root,
        2 * count(*) as edges,
        avg(similarity) as mean,
        min(similarity) as min,
        max(similarity) as max
    from component_edges
    group by component_id
)
select
    r.id,
    r.error_code,
    dense_rank() over (order by r.root) - 1 as component_id,
    coalesce(h.edges, 0) as edges,
    coalesce(h.mean, 0) as mean,
    coalesce(h.min, 0) as min,
    coalesce(h.max, 0) as max
from roots as r
left join held as h on h.root = r.root
