-- The whole graph: from_id, to_id, similarity, rank.
select from_id, to_id, similarity::float as similarity, rank from edges order by from_id, rank
