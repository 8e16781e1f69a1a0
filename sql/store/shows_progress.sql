-- Whether DuckDB draws a bar for long queries.
select current_setting('enable_progress_bar')
