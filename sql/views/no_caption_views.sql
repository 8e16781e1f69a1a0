-- Without captions, or where the user's own annotations have a column of that name, no column is added.

create or replace view newest_captions as
select id from captions where false;

comment on view newest_captions is 'Caption of each image or box, of the model and question asked last; one row per id';
