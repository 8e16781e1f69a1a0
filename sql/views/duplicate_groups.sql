-- What verified pairs connect. Made before a check, which looks for pairs within the groups.
-- Each pass of the recursion hands the lowest id one hop on.
create or replace view duplicate_groups as
with recursive
links as (
    select from_id as a, to_id as b from verified where is_duplicate
    union
    select to_id, from_id from verified where is_duplicate
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
select id, component_id from labelled order by id;

comment on view duplicate_groups is 'Copies of one picture, connected by verified pairs; component_id is the lowest id of the group';
