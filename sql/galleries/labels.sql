-- The labels of the valid images and how many images have each, the most frequent first.
-- Returns label (text), images. Images without a label are left out.
-- Parameters: $label_table 'annotations' or labels of one's own (index, is_valid, label); $label_col its column that
-- holds the label.
with labels as (
    select "index" as id, columns(lambda c: c = $label_col)::varchar as label
    from query_table($label_table)
    where is_valid
)
select label, count(*) as images
from labels
where label is not null
group by label
order by images desc, label
