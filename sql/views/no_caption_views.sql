-- Without captions, or where the user's own annotations have a column of that name, no column is added.

create or replace view newest_captions as
select id from captions where false;
