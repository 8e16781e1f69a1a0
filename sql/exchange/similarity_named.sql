-- The rows of the similarity.csv of fastdup's module-level run: pairs of file names, most similar first.
select f.filename as "from", t.filename as "to", printf('%.6f', s.distance) as distance
from similarity_at((select threshold from current_run)) as s
join facts as f on f.fd_index = s."from"
join facts as t on t.fd_index = s."to"
order by s.distance desc, s."from", s."to"
