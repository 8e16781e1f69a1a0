-- A name listed twice is one image: keep its first place.
delete from staged
where position not in (select min(position) from staged group by filename)
