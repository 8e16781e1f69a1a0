-- The rows of the atrain_stats.csv of fastdup's module-level run: with file names, four decimals.
select
    s.id as "index",
    l.filename,
    i.img_w as width,
    i.img_h as height,
    s."unique",
    printf('%.4f', s.blur) as blur,
    printf('%.4f', s.mean) as mean,
    printf('%.4f', s.min) as min,
    printf('%.4f', s.max) as max,
    printf('%.4f', s.stdv) as stdv,
    m.file_size,
    printf('%.4f', s.contrast) as contrast
from stats as s
join instances as i on i.id = s.id
join images as m on m.image_id = i.image_id
join listing as l on l.image_id = i.image_id
order by s.id
