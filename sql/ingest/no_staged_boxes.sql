-- This run has no boxes.
create or replace temp table staged_boxes as
select
    0::bigint as box_row, ''::varchar as filename, boxes.* exclude (id, image_id), 0::bigint as occurrence
from boxes
limit 0
