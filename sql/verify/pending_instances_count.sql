-- How many instances of candidates without a verdict have no keypoints yet.
select count(*)
from (
    select from_id as id from candidates as c
    anti join verified as v on v.from_id = c.from_id and v.to_id = c.to_id
    union
    select to_id from candidates as c
    anti join verified as v on v.from_id = c.from_id and v.to_id = c.to_id
) as wanted
anti join keypoints as k on k.id = wanted.id
