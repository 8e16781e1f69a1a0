-- The last run, one row; nothing before the first.
select * from runs order by run_id desc limit 1
