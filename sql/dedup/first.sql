-- Keep the first of the listing.
-- Makes the temp table `dedup_places`: place 1 of each component is kept, a changed file only where all are.
create or replace temp table dedup_places as
select
    *,
    row_number() over (
        partition by component_id
        order by is_changed, "index"
    ) as place
from dedup_members
