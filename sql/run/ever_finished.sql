-- Whether any run of this database has ended.
select count(*) > 0 from runs where finished_at is not null
