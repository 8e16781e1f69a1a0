-- The rows of fastdup's similarity.csv: pairs of ids from the run's threshold on, six decimals, most similar first.
select s."from", s."to", printf('%.6f', s.distance) as distance
from similarity_at((select threshold from current_run)) as s
order by s.distance desc, s."from", s."to"
