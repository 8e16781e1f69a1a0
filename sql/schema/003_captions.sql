-- What caption() said of an image or box. The same question to the same model has one answer.
create table captions (
    id bigint not null,
    model varchar not null,
    prompt varchar not null,
    settings varchar not null,
    caption varchar,
    created_at timestamp default current_timestamp
);

-- The captions that `annotations` shows; made anew by views/caption_views or views/no_caption_views.
create view newest_captions as
select id from captions where false;
