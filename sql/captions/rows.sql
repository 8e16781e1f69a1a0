-- The captions of one model, prompt and settings: filename, caption; one row per valid image or box, by id.
-- caption is null where the image could not be read again.
-- Parameters: $model, $prompt, $settings (JSON), $filenames names to keep, null for all.
select l.filename, c.caption
from instances as i
join listing as l on l.image_id = i.image_id
left join captions as c
    on c.id = i.id and c.model = $model and c.prompt = $prompt and c.settings = $settings
where i.error_code = 'VALID'
  and ($filenames is null or l.filename in (select unnest(cast($filenames as varchar[]))))
order by i.id
