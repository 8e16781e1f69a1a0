-- Components of the edges with similarity >= $threshold (0 to 1) whose both ends are in the temp table `chosen`.
create or replace temp table chosen_components as
with recursive
links as materialized (
    select from_id as a, to_id as b
    from edges
    where similarity >= $threshold::float and from_id in (select id from chosen) and to_id in (select id from chosen)
    union
    select to_id, from_id
    from edges
    where similarity >= $threshold::float and from_id in (select id from chosen) and to_id in (select id from chosen)
),
labelled(id, component_id) using key (id) as (
    -- as in components_of, where the passes are explained
    select distinct a, a from links
    union
    select moves.id, min(moves.target)
    from (
        select unnest([mine.id, mine.component_id]) as id, further.component_id as target
        from links as l
        join recurring.labelled as mine on mine.id = l.a
        join recurring.labelled as theirs on theirs.id = l.b
        join recurring.labelled as further on further.id = theirs.component_id
        where further.component_id < mine.component_id
        union all
        select mine.id, further.component_id
        from recurring.labelled as mine
        join recurring.labelled as further on further.id = mine.component_id
        where further.component_id < mine.component_id
    ) as moves
    join recurring.labelled as known on known.id = moves.id
    where moves.target < known.component_id
    group by moves.id
)
select id, component_id from labelled
