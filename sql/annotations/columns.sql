-- The names of the columns the user (or the layout, or a detector) brought, in their order, as the views call them.
select regexp_replace(column_name, '^your ', '') as column_name
from duckdb_columns()
where table_name = 'user_annotations' and column_name <> 'id'
order by column_index
