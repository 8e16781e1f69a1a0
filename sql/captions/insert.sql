-- Append the captions of the Arrow table `incoming` (id, caption) of one model, prompt and settings.
-- Parameters: $model, $prompt, $settings (JSON).
insert into captions by name
select id, $model as model, $prompt as prompt, $settings as settings, caption
from incoming
