-- How many captions are stored.
select count(*) from captions
