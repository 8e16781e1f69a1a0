-- All members of components, by id.
select id, component_id from components order by id
