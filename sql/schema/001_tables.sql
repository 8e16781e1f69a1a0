-- The tables of a work_dir. Facts are written once; everything a user asks is a view or a query on them.
-- The large tables carry no primary key: ids are unique by construction, and an index over 100 million rows costs
-- gigabytes of memory.

create table schema_versions (
    version integer primary key,
    applied_at timestamp default current_timestamp
);

-- One row per call of run(); the last row is the state of the work_dir.
create table runs (
    run_id bigint primary key,
    started_at timestamp default current_timestamp,
    finished_at timestamp,
    package_version varchar,
    config varchar,
    fingerprint varchar,
    input_dir varchar,
    data_type varchar,
    distance varchar,
    threshold double,
    cc_threshold double,
    outlier_percentile double,
    has_annotations boolean default false,
    listed boolean default false,
    embeddings_version bigint,
    vectors_version bigint,
    dimension integer,
    transform blob,
    transform_images bigint,
    transform_note varchar,
    neighbors_method varchar,
    neighbors_seconds double,
    index_kind varchar,
    index_bytes bigint,
    index_seconds double,
    index_recall double
);

-- Where every image lies: one row per reference of the input, in input order.
create table listing (
    image_id bigint not null,
    filename varchar not null,
    container varchar not null,
    member varchar not null,
    byte_offset bigint not null,
    file_size bigint not null,
    version varchar not null,
    frame_ms bigint not null,
    frame_number bigint not null,
    label varchar not null,
    split varchar not null,
    error_code varchar not null
);

-- What reading it showed, appended batch by batch. A listing row without a row here is still to be read.
create table images (
    image_id bigint not null,
    error_code varchar not null,
    img_w integer,
    img_h integer,
    file_size bigint,
    truncated boolean,
    orientation integer,
    taken_at timestamp,
    camera_make varchar,
    camera_model varchar,
    latitude double,
    longitude double,
    content_hash varchar
);

-- The boxes asked for, in annotation order; empty unless the run is in boxes mode. Pixels of the upright image.
create table boxes (
    id bigint not null,
    image_id bigint not null,
    col_x double,
    row_y double,
    width double,
    height double,
    x1 double, y1 double, x2 double, y2 double, x3 double, y3 double, x4 double, y4 double
);

-- What is compared: an image (id = image_id), or one box of an image.
create table instances (
    id bigint not null,
    image_id bigint not null,
    error_code varchar not null,
    img_w integer,
    img_h integer,
    col_x double,
    row_y double,
    width double,
    height double,
    crop_filename varchar,
    label varchar,
    confidence double
);

create table stats (
    id bigint not null,
    mean double,
    min double,
    max double,
    stdv double,
    "unique" integer,
    blur double,
    contrast double
);

create table advanced_stats (
    id bigint not null,
    rms_contrast double,
    mean_rel_intensity_r double,
    mean_rel_intensity_g double,
    mean_rel_intensity_b double,
    mean_hue double,
    mean_saturation double,
    mean_val double,
    edge_density double,
    mean_r double,
    mean_g double,
    mean_b double
);

-- The commit points: a batch is in the work_dir when its row is here.
create table batches (
    batch_id bigint primary key,
    run_id bigint not null,
    images bigint not null,
    instances bigint not null,
    committed_at timestamp default current_timestamp
);

-- The columns a user brought, or a detector or the folder layout found: one row per annotated instance.
create table user_annotations (id bigint);

-- The k nearest neighbours of every instance. similarity: 1 = identical, for every metric; rank from 1.
create table edges (
    from_id bigint not null,
    to_id bigint not null,
    similarity double not null,
    rank integer not null
);

-- Connected components of the edges with similarity >= cc_threshold; singletons have no row.
create table components (
    id bigint not null,
    component_id bigint not null
);
