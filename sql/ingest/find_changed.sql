-- Stored images whose file, or whose place in an archive or video, has changed since it was read; and those that the
-- listing found but reading did not get: a permission, or a disk that was away, is mended without a trace in the file.
-- A number without a container is the row of a vector of the user's: that moves when others come before it.
create or replace temp table changed as
select l.image_id, s.* exclude (position)
from listing as l
join staged as s on s.filename = l.filename
left join images as i on i.image_id = l.image_id
where
    (s.version, s.file_size, s.container, s.member, s.byte_offset, s.frame_ms, s.error_code)
    is distinct from
    (l.version, l.file_size, l.container, l.member, l.byte_offset, l.frame_ms, l.error_code)
    or (s.container <> '' and s.frame_number <> l.frame_number)
    or (s.error_code = '' and i.error_code in ('ERROR_UNREADABLE_FILE', 'ERROR_MISSING_FILE'))
