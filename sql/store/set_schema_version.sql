-- Note that schema file $version has been applied.
insert into schema_versions (version) values ($version)
