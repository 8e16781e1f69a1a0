-- The numbers of the summary, one row, all counted in annotated instances: total, valid, clustered, components, largest
-- (of the chosen components), outliers, and the blurry (variance of Laplacian < $blur), bright (mean > $bright) and dark
-- (mean < $dark) ones.
select
    (select count(*) from facts where is_annotated) as total,
    (select count(*) from facts where is_annotated and is_valid) as valid,
    (select count(*) from chosen_components) as clustered,
    (select count(*) from chosen_info) as components,
    (select coalesce(max("count"), 0) from chosen_info) as largest,
    (select count(*) from outliers) as outliers,
    (select count(*) from img_stats where blur < $blur) as blurry,
    (select count(*) from img_stats where mean > $bright) as bright,
    (select count(*) from img_stats where mean < $dark) as dark,
    (select count(*) from stats) as measured,
    (select count(*) from edges) as edges
