-- The user's rows from the Arrow table `incoming` as the temp table `staged_rows`: "fastdup row", "fastdup filename",
-- columns.
create or replace temp table staged_rows as from incoming
