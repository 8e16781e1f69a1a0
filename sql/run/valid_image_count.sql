-- How many images could be read, whether or not anything was found in them.
select count(*) from images where error_code = 'VALID'
