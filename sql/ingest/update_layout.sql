-- Labels and splits that the input's layout says, and the rows that vectors of the user's have now, for images that were
-- listed before.
update listing set label = s.label, split = s.split, frame_number = s.frame_number
from staged as s
where s.filename = listing.filename
    and (s.label, s.split, s.frame_number) is distinct from (listing.label, listing.split, listing.frame_number)
