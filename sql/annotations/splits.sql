-- The names of the splits, sorted.
select distinct split::varchar as split from facts where split is not null order by split
