-- How the values of a statistic are distributed over the images.
-- Returns bin (from 1), low and high (its limits), images (in it); one row per bin, empty ones included, ordered by bin.
-- The last bin also holds everything above: it ends at the 99.5th percentile, so that a few extremes do not squeeze
-- the rest into one bar.
-- Parameters: $metric a statistic; $bins number of bins.
with metrics as (
    select columns(lambda c: c = $metric)::double as value
    from measured
),
bounds as (
    select min(value) as low, quantile_disc(value, 0.995) as high
    from metrics
    where value is not null and not isnan(value)
),
counts as (
    select
        case
            when b.high > b.low then least(1 + floor($bins * (m.value - b.low) / (b.high - b.low)), $bins)
            else 1
        end::bigint as bin,
        count(*) as images
    from metrics m, bounds b
    where m.value is not null and not isnan(m.value)
    group by all
)
select
    n.bin,
    b.low + (n.bin - 1) * (b.high - b.low) / $bins as low,
    b.low + n.bin * (b.high - b.low) / $bins as high,
    coalesce(c.images, 0) as images
from (select unnest(range(1, $bins + 1)) as bin) n
cross join bounds as b
left join counts as c on c.bin = n.bin
where b.low is not null
order by n.bin
