-- How many instances can be used.
select count(*) from instances where error_code = 'VALID'
