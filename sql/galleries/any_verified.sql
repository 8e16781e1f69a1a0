-- Whether verification has found duplicates: one row, is_any.
select count(*) > 0 as is_any from verified_duplicates
