-- How many images are dirty.
select count(*) from dirty
