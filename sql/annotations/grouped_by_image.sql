-- Annotations gathered per image: filename, the columns named in the list $image_level as their first values, every
-- other column as a list; in id order.
select * exclude (is_annotated)
from (
    select
        first(columns(lambda col: col = 'filename' or col in $image_level) order by fd_index),
        -- with a column that is always there: an image may be all that the user wants to know of
        list(columns(lambda col: col = 'is_annotated' or col not in $image_level and col <> 'filename')
            order by fd_index)
    from facts
    where is_annotated
    group by filename
    order by min(fd_index)
)
