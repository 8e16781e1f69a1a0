-- What run $run_id took: $engine, $images read, $seconds, $cpu_hours.
insert into costs by name
select $run_id as run_id, $engine as engine, $images as images, $seconds as seconds, $cpu_hours as cpu_hours
