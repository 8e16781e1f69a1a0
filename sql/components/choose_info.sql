-- Size and similarities of the components in the temp table `chosen_components`, over their pairs with
-- similarity >= $threshold (0 to 1), as the temp table `chosen_info`.
create or replace temp table chosen_info as
with sizes as (
    select component_id, count(*) as "count" from chosen_components group by component_id
),
pairs as (
    select f.component_id, avg(e.similarity) as mean, min(e.similarity) as min, max(e.similarity) as max
    from edges as e
    join chosen_components as f on f.id = e.from_id
    join chosen_components as t on t.id = e.to_id
    where e.similarity >= $threshold::float
    group by f.component_id
)
select s.component_id, s."count", p.mean, p.min, p.max
from sizes as s
join pairs as p on p.component_id = s.component_id
