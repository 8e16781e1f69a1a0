-- Near-duplicates checked by keypoints and pixels.

-- What tells copies of an instance: see fastdup_db/imaging/keypoints.py; null with an error_code where it cannot be read.
create table keypoints (
    id bigint not null,
    error_code varchar not null,
    features blob
);

-- Pairs worth a check, each once: neighbours above the lower line, and pairs that copies of theirs connect, whose
-- similarity is null.
create table candidates (
    from_id bigint not null,
    to_id bigint not null,
    similarity double
);

-- One row per checked pair, from_id < to_id. The columns are explained in fastdup_db/graph/verify.py.
create table verified (
    from_id bigint not null,
    to_id bigint not null,
    similarity double,
    inliers integer,
    inlier_share float,
    structure float,
    overlap float,
    hash_distance integer,
    score double,
    is_duplicate boolean not null,
    kind varchar,
    reason varchar not null,
    mirror boolean,
    rotation double,
    scale double,
    crop_x double,
    crop_y double,
    crop_width double,
    crop_height double,
    transform double[]
);
