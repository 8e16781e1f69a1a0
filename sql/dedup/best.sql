-- Keep the best: whole before cut short, then the most pixels, the least compressed, the sharpest, the oldest.
-- Makes the temp table `dedup_places`: place 1 of each component is kept, a changed file only where all are.
create or replace temp table dedup_places as
select
    *,
    row_number() over (
        partition by component_id
        order by
            is_changed, truncated, pixels desc nulls last, bits_per_pixel desc nulls last, sharpness desc nulls last,
            taken_at nulls last, "index"
    ) as place
from dedup_members
