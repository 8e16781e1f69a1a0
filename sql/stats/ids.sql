-- Statistics of the instances in the temp table `chosen`, in id order, without annotations.
select s.id as "index", i.img_w, i.img_h, s."unique", s.blur, s.mean, s.min, s.max, s.stdv, m.file_size, s.contrast
from stats as s
join instances as i on i.id = s.id
join images as m on m.image_id = i.image_id
where s.id in (select id from chosen)
order by s.id
