-- How far the embedding of an instance, at unit length, is from the mean of the collection that the run's transform
-- subtracts; none of vectors that are searched as they are.
create table mean_distances (
    id bigint not null,
    distance double
);
