-- Stored images whose file, or whose place in an archive or video, has changed since it was read.
create or replace temp table changed as
select l.image_id, s.* exclude (position)
from listing as l
join staged as s on s.filename = l.filename
where (s.version, s.file_size, s.container, s.member, s.byte_offset, s.frame_ms, s.frame_number, s.error_code)
    is distinct from
    (l.version, l.file_size, l.container, l.member, l.byte_offset, l.frame_ms, l.frame_number, l.error_code)
