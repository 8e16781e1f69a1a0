-- Settings and transform of the run that made the stored edges.
select config, transform from runs where neighbors_method is not null order by run_id desc limit 1
