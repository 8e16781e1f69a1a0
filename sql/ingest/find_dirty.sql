-- Images whose rows must go: vanished, changed, or with other boxes than before.
create or replace temp table dirty as
select image_id from gone
union
select image_id from changed
union
select image_id from reboxed
