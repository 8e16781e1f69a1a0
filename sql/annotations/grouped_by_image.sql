-- Annotations gathered per image: filename, and every column as a list in id order.
-- The caller takes the first value of the columns that belong to the image as a whole.
select filename, list(columns(* exclude (filename, is_annotated)) order by fd_index)
from facts
where is_annotated
group by filename
order by min(fd_index)
