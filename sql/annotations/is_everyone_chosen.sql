-- Whether the temp table `chosen` holds every valid instance.
select (select count(*) from chosen) = (select count(*) from instances where error_code = 'VALID')
