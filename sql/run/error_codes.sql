-- How many images could not be used, by reason.
select error_code, count(*) as images from images where error_code <> 'VALID' group by error_code order by error_code
