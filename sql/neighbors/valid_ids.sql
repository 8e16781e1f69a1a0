-- The valid instances, in id order.
select id from instances where error_code = 'VALID' order by id
