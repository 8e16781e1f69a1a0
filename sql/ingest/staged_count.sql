-- How many references this run's input has.
select count(*) from staged
