-- The table that outliers are judged by. Returns one row: name, the view of lowered similarities, or the edges in a
-- work_dir whose last run was before there was such a view.
select coalesce(max(view_name), 'edges') as name
from duckdb_views()
where view_name = 'outlier_edges'
