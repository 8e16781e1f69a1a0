-- Stored images whose file, or whose place in an archive or video, has changed since it was read; and those that the
-- listing found but reading did not get: a permission, or a disk that was away, is mended without a trace in the file.
create or replace temp table changed as
select l.image_id, s.* exclude (position)
from listing as l
join staged as s on s.filename = l.filename
left join images as i on i.image_id = l.image_id
where
    (s.version, s.file_size, s.container, s.member, s.byte_offset, s.frame_ms, s.frame_number, s.error_code)
    is distinct from
    (l.version, l.file_size, l.container, l.member, l.byte_offset, l.frame_ms, l.frame_number, l.error_code)
    or (s.error_code = '' and i.error_code in ('ERROR_UNREADABLE_FILE', 'ERROR_MISSING_FILE'))
