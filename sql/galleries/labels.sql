-- The labels of the valid images and how many images have each, the most frequent first.
-- Returns label (text), images. Images without a label are left out.
-- Parameters: $label_col the column of the annotations that holds the label.
with labels as (
    select "index" as id, columns(lambda c: c = $label_col)::varchar as label
    from annotations
    where is_valid
)
select label, count(*) as images
from labels
where label is not null
group by label
order by images desc, label
