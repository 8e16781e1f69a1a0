-- The names of crops that were made afterwards, from the Arrow table `incoming` (id, crop_filename).
update instances set crop_filename = incoming.crop_filename
from incoming
where incoming.id = instances.id
