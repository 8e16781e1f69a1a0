-- Before the distances from another mean are stored.
delete from mean_distances
