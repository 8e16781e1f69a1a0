-- The names of the columns of `annotations`, in their order.
select column_name from duckdb_columns() where table_name = 'annotations' order by column_index
