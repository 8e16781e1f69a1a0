-- Drop the verdicts on dirty images.
delete from verified
where from_id in (select id from dirty_instances) or to_id in (select id from dirty_instances)
