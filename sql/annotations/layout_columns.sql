-- Whether the input's layout says labels and splits: has_label, has_split.
select coalesce(bool_or(label <> ''), false) as has_label, coalesce(bool_or(split <> ''), false) as has_split
from listing
