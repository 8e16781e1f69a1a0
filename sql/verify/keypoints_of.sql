-- The features of the ids in the Arrow table `wanted` (id), in id order.
select k.id, k.features
from keypoints as k
where k.id in (select id from wanted)
order by k.id
