-- The numbers of the summary, one row, all counted in instances: total, valid, clustered, components, largest,
-- outliers, and the blurry (variance of Laplacian < $blur), bright (mean > $bright), dark (mean < $dark) ones.
select
    (select count(*) from facts where is_annotated) as total,
    (select count(*) from facts where is_annotated and is_valid) as valid,
    (select count(*) from components) as clustered,
    (select count(distinct component_id) from components) as components,
    (select coalesce(max("count"), 0) from component_info) as largest,
    (select count(*) from outliers) as outliers,
    (select count(*) from img_stats where blur < $blur) as blurry,
    (select count(*) from img_stats where mean > $bright) as bright,
    (select count(*) from img_stats where mean < $dark) as dark,
    (select count(*) from stats) as measured,
    (select count(*) from edges) as edges
