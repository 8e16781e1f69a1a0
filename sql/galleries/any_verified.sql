-- Whether verification has found duplicates among the annotated images: one row, is_any.
select count(*) > 0 as is_any from duplicates
