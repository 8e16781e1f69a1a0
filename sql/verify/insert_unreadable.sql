-- Candidates one of whose images cannot be read now: no duplicate, its error code is the reason. The next check drops
-- these rows (delete_unchecked) and tries again.
insert into verified by name
select
    c.from_id,
    c.to_id,
    c.similarity,
    false as is_duplicate,
    if(a.features is null, a.error_code, b.error_code) as reason
from pending_candidates as c
join keypoints as a on a.id = c.from_id
join keypoints as b on b.id = c.to_id
where a.features is null or b.features is null
order by c.from_id, c.to_id
