-- The places of the valid images and boxes without a caption of this model, prompt and settings, in image order.
-- Returns the columns of `listing`, then id and the box: col_x, row_y, width, height or x1 .. y4, null without a box.
-- Parameters: $model, $prompt, $settings (JSON), $filenames names to keep, null for all.
select
    l.*,
    i.id,
    coalesce(b.col_x, i.col_x) as col_x,
    coalesce(b.row_y, i.row_y) as row_y,
    coalesce(b.width, i.width) as width,
    coalesce(b.height, i.height) as height,
    b.x1, b.y1, b.x2, b.y2, b.x3, b.y3, b.x4, b.y4
from instances as i
join listing as l on l.image_id = i.image_id
left join boxes as b on b.id = i.id
anti join captions as c
    on c.id = i.id and c.model = $model and c.prompt = $prompt and c.settings = $settings
where i.error_code = 'VALID'
  and ($filenames is null or l.filename in (select unnest(cast($filenames as varchar[]))))
order by i.image_id, i.id
