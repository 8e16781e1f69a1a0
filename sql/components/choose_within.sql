-- Components of the edges with similarity >= $threshold (0 to 1) whose both ends are in the temp table `chosen`.
create or replace temp table chosen_components as
with recursive
links as (
    select from_id as a, to_id as b
    from edges
    where similarity >= $threshold and from_id in (select id from chosen) and to_id in (select id from chosen)
    union
    select to_id, from_id
    from edges
    where similarity >= $threshold and from_id in (select id from chosen) and to_id in (select id from chosen)
),
labelled(id, component_id) using key (id) as (
    select distinct a, a from links
    union
    select l.b, min(c.component_id)
    from labelled as c
    join links as l on l.a = c.id
    join recurring.labelled as known on known.id = l.b
    where c.component_id < known.component_id
    group by l.b
)
select id, component_id from labelled
