-- The run whose images the last whole check of near-duplicates was of; null where there was none.
alter table runs add column verified_run bigint;
