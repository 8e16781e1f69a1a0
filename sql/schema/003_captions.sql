-- What caption() said of an image or box. The same question to the same model has one answer.
create table captions (
    id bigint not null,
    model varchar not null,
    prompt varchar not null,
    settings varchar not null,
    caption varchar,
    created_at timestamp default current_timestamp
);
