-- The names of the columns the user (or the layout, or a detector) brought, in their order.
select column_name
from duckdb_columns()
where table_name = 'user_annotations' and column_name <> 'id'
order by column_index
