-- The run that made the stored edges and the index, one row; nothing before the first.
select * from runs where neighbors_method is not null order by run_id desc limit 1
