-- What can be asked of the edges alone, with a threshold of one's own: `from similarity_at(0.95)`.

create or replace macro similarity_at(min_similarity) as table
select e.from_id as "from", e.to_id as "to", e.similarity as distance
from edges as e
where e.similarity >= min_similarity::float  -- as they were before they became doubles
order by distance desc, "from", "to";

comment on macro table similarity_at is 'Pairs of neighbours with at least this similarity';

-- The edges as outliers are judged by. Vectors of unit length do not tell how far a picture lies from the collection as
-- a whole. So what is missing to similarity 1 counts f² times; a picture with a copy stays similar to it. f is the
-- product of two factors, each of which counts where it is above 1:
--   - The features' length, compared with that which 95 % of the collection do not exceed: noise, drawings and pages of
--     text would be as near to their neighbours as photographs are.
--   - The distance from the collection's mean, compared with the median one: whatever is unlike the rest would be as near
--     to its neighbours as the typical are. Of 25 photographs among 475 garments 86 % are among the lowest 25 then,
--     instead of 67 %; of 10 pictures of shoes among 190 other garments 49 %, instead of 25 % (means of ten draws).
create or replace view outlier_edges as
with long as (
    select id, length / (select quantile_cont(length, 0.95) from feature_lengths) as factor
    from feature_lengths
),
far as (
    select id, distance / nullif((select median(distance) from mean_distances), 0) as factor
    from mean_distances
)
select
    e.from_id,
    e.to_id,
    case
        when l.factor > 1 or f.factor > 1
            then greatest(1 - (1 - e.similarity) * (greatest(l.factor, 1) * greatest(f.factor, 1)) ** 2, -1)
        else e.similarity
    end as similarity,
    e.rank
from edges as e
left join long as l on l.id = e.from_id
left join far as f on f.id = e.from_id;

comment on view outlier_edges is
'Neighbours by id; similarity is lowered where from_id has unusually long features or is far from the collection''s mean';

-- How similar every valid instance is to its nearest neighbour, and its place when sorted by that.
create or replace view nearest_neighbors as
select
    e.from_id as outlier,
    e.to_id as nearest,
    e.similarity as distance,
    row_number() over (order by e.similarity, e.from_id) as place,
    count(*) over () as instances
from outlier_edges as e
where e.rank = 1;

comment on view nearest_neighbors is
'The nearest neighbour of every image, least similar first by place; similarities are those of outlier_edges';

create or replace macro outliers_at(fraction) as table
select outlier, nearest, distance
from nearest_neighbors
where place <= ceil(fraction * instances - 1e-9)
order by distance, outlier;

comment on macro table outliers_at is 'This fraction (0 to 1) of all images, those least similar to their nearest neighbour';

-- Components on the fly; pairs is the name of a table or view with from_id, to_id and similarity. Twice first, every row
-- points at the lowest one it is linked to, if that is lower: that makes trees, each of which is one row from then on,
-- its lowest, and only links between trees remain. Of a chain of 1,000,000 a third and then a ninth of the rows remain,
-- and the whole takes a quarter of the time.
-- There every row points at a lower member of its component, at first at itself. In each pass a row
-- and the row it points at take over what a neighbour's pointer points at, and pointers are followed one step further:
-- both ways lengths double, so that a chain of 100,000 takes some 20 passes and not 100,000 (FastSV: Zhang, Azad,
-- Buluc, SIAM PP 2020). No row moves any more when all of a component point at its lowest id.
create or replace macro components_of(pairs, min_similarity) as table
with recursive
links as materialized (
    select from_id as a, to_id as b from query_table(pairs) where similarity >= min_similarity::float
    union
    select to_id, from_id from query_table(pairs) where similarity >= min_similarity::float
),
trees(id, root) using key (id) as (
    select a, least(a, min(b)) from links group by a
    union
    select mine.id, further.root
    from recurring.trees as mine
    join recurring.trees as further on further.id = mine.root
    where further.root < mine.root
),
tree_links as materialized (
    select distinct mine.root as a, theirs.root as b
    from links as l
    join trees as mine on mine.id = l.a
    join trees as theirs on theirs.id = l.b
    where mine.root <> theirs.root
),
groves(id, root) using key (id) as (
    select a, least(a, min(b)) from tree_links group by a
    union
    select mine.id, further.root
    from recurring.groves as mine
    join recurring.groves as further on further.id = mine.root
    where further.root < mine.root
),
grove_links as materialized (
    select distinct mine.root as a, theirs.root as b
    from tree_links as l
    join groves as mine on mine.id = l.a
    join groves as theirs on theirs.id = l.b
    where mine.root <> theirs.root
),
labelled(id, component_id) using key (id) as (
    select distinct a, a from grove_links
    union
    select moves.id, min(moves.target)
    from (
        select unnest([mine.id, mine.component_id]) as id, further.component_id as target
        from grove_links as l
        join recurring.labelled as mine on mine.id = l.a
        join recurring.labelled as theirs on theirs.id = l.b
        join recurring.labelled as further on further.id = theirs.component_id
        where further.component_id < mine.component_id
        union all
        select mine.id, further.component_id
        from recurring.labelled as mine
        join recurring.labelled as further on further.id = mine.component_id
        where further.component_id < mine.component_id
    ) as moves
    join recurring.labelled as known on known.id = moves.id
    where moves.target < known.component_id
    group by moves.id
)
select t.id, coalesce(c.component_id, g.root, t.root) as component_id
from trees as t
left join groves as g on g.id = t.root
left join labelled as c on c.id = g.root;

comment on macro table components_of is 'Connected components of the pairs in a table or view of this name, with at least this similarity, in no order; no singletons';

create or replace macro components_at(min_similarity) as table
select id, component_id from components_of('edges', min_similarity) order by id;

comment on macro table components_at is 'Connected components of the pairs with at least this similarity; no singletons';

create or replace view pending_candidates as
select c.from_id, c.to_id, c.similarity
from candidates as c
anti join verified as v on v.from_id = c.from_id and v.to_id = c.to_id;

comment on view pending_candidates is 'Pairs that verification has still to check';

create or replace view duplicate_links as
select from_id, to_id, 1 as similarity from verified where is_duplicate;

comment on view duplicate_links is 'Verified pairs that are copies of one picture';

-- What verified pairs connect; a check looks for further pairs within the groups.
create or replace view duplicate_groups as
select id, component_id from components_of('duplicate_links', 1) order by id;

comment on view duplicate_groups is 'Copies of one picture, connected by verified pairs; component_id is the lowest id of the group';
