-- The width of the stored embeddings of the last run.
select dimension from runs order by run_id desc limit 1
