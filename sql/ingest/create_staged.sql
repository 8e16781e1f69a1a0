-- An empty table for the listing of this run, before it is compared with the stored one.
create or replace temp table staged as
select image_id as position, * exclude (image_id) from listing limit 0
