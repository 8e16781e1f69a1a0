-- The checked pairs whose similarity is known, in order.
select from_id, to_id from verified where similarity is not null order by from_id, to_id
