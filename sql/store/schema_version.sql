-- The number of the last schema file applied to this database.
select max(version) from schema_versions
