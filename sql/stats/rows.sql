-- Statistics of the instances in the temp table `chosen`, in id order, with the user's columns.
select s.id as "index", i.img_w, i.img_h, s."unique", s.blur, s.mean, s.min, s.max, s.stdv, m.file_size, s.contrast,
    m.truncated, f.* exclude ("index", is_annotated)
from stats as s
join instances as i on i.id = s.id
join images as m on m.image_id = i.image_id
join facts as f on f.fd_index = s.id
where s.id in (select id from chosen)
order by s.id
