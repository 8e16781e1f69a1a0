-- How many images have changed since they were read.
select count(*) from changed
