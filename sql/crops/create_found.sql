-- The crops that lie in the work_dir, by the names of their files; filled by `insert_found`.
create or replace temp table found_crops (filename varchar)
