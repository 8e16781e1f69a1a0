-- Keep only the staged references whose filename is in `wanted` (column filename).
delete from staged where filename not in (select filename from wanted)
