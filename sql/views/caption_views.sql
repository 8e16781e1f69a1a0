-- The captions that `annotations` shows: those of the model, prompt and settings asked last.

create or replace view newest_captions as
select c.id, c.caption
from captions as c
join (select model, prompt, settings from captions order by created_at desc, model, prompt, settings limit 1) as n
    on n.model = c.model and n.prompt = c.prompt and n.settings = c.settings;

comment on view newest_captions is 'Caption of each image or box, of the model and question asked last; one row per id';
