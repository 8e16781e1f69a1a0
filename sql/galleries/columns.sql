-- The columns a gallery may sort by or take labels from: those of the annotations, the statistics, and of their view.
-- Returns table_name ('annotations', $stats, or 'statistics' for what was measured, whatever columns of the user's the
-- view repeats), column_name, is_number; in the order of the columns.
-- Parameters: $stats name of the view of the statistics.
select
    case when table_name in ('annotations', $stats) then table_name else 'statistics' end as table_name,
    column_name,
    data_type in (
        'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT',
        'FLOAT', 'DOUBLE', 'BOOLEAN'
    ) or starts_with(data_type, 'DECIMAL') as is_number
from duckdb_columns()
where
    table_name in ('annotations', $stats)
    or (table_name = 'instances' and column_name in ('img_w', 'img_h'))
    or (table_name = 'images' and column_name in ('file_size', 'truncated'))
    or (table_name = 'stats' and column_name <> 'id')
    or (table_name = 'advanced_stats' and column_name <> 'id' and $stats = 'img_stats_advanced')
order by duckdb_columns.table_name, column_index
