-- Everything known of the instance $id, one row.
select * exclude (is_annotated) from facts where fd_index = $id
