-- The rows of the similarity.csv of fastdup's module-level run: pairs of file names, of boxes
-- whose crops are kept those of the crops; most similar first.
select coalesce(i.crop_filename, f.filename) as "from", coalesce(j.crop_filename, t.filename) as "to", printf('%.6f', s.distance) as distance
from similarity_at((select threshold from current_run)) as s
join facts as f on f.fd_index = s."from"
join instances as i on i.id = s."from"
join facts as t on t.fd_index = s."to"
join instances as j on j.id = s."to"
order by s.distance desc, s."from", s."to"
