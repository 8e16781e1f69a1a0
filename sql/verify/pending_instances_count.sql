-- How many instances of candidates without a verdict have no keypoints yet.
select count(*)
from (
    select from_id as id from pending_candidates
    union
    select to_id from pending_candidates
) as wanted
anti join keypoints as k on k.id = wanted.id
