-- The columns a gallery may sort by or take labels from: those of the annotations and of the statistics.
-- Returns table_name ('annotations' or $stats), column_name, is_number; in the order of the columns.
-- Parameters: $stats name of the view of the statistics.
select
    table_name,
    column_name,
    data_type in (
        'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT',
        'FLOAT', 'DOUBLE', 'BOOLEAN'
    ) or starts_with(data_type, 'DECIMAL') as is_number
from duckdb_columns()
where table_name in ('annotations', $stats)
order by table_name, column_index
