-- Images seen for the first time get the next ids, in input order.
insert into listing by name
select
    (select coalesce(max(image_id) + 1, 0) from listing) + row_number() over (order by s.position) - 1 as image_id,
    s.* exclude (position)
from staged as s
anti join listing as l on l.filename = s.filename
order by s.position
