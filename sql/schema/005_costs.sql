-- What each finished run took: images it read, seconds from begin to end, processor time over all its processes.
create table costs (
    run_id bigint not null,
    engine varchar not null,
    images bigint not null,
    seconds double not null,
    cpu_hours double not null
);
