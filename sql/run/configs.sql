-- The settings of all runs as JSON, of the last one first.
select config from runs order by run_id desc
