-- The view that holds the statistics of this run. Returns one row: name, the view with the colour, contrast and edge
-- columns where the run made them.
select case when exists (from advanced_stats) then 'img_stats_advanced' else 'img_stats' end as name
