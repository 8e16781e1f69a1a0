-- The new places of changed images, under their old ids.
insert into listing by name select * from changed
