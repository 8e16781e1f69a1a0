-- Labels and splits that the input's layout says, for images that were listed before.
update listing set label = s.label, split = s.split
from staged as s
where s.filename = listing.filename and (s.label, s.split) is distinct from (listing.label, listing.split)
