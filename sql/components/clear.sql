-- No components in this run.
delete from components
