-- How many candidates have no verdict.
select count(*) from pending_candidates
