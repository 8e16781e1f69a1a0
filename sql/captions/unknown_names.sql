-- Which of the names $filenames are not in the listing.
select name from (select unnest(cast($filenames as varchar[])) as name) where name not in (select filename from listing)
order by name
