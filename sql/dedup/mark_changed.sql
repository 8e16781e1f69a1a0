-- The members $ids of the temp table `dedup_members` are missing, or no longer the files that the run read.
update dedup_members set is_changed = true where "index" in (select unnest($ids::bigint[]))
