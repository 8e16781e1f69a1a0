-- Give checked pairs the similarities of the Arrow table `incoming` (from_id, to_id, similarity).
update verified set similarity = i.similarity
from incoming as i
where verified.from_id = i.from_id and verified.to_id = i.to_id
