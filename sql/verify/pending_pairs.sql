-- Candidates without a verdict, in order.
select from_id, to_id, similarity from pending_candidates order by from_id, to_id
