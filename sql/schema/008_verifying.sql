-- Whether a check of near-duplicates has begun and not ended: some verdicts are missing then.
alter table runs add column verifying boolean default false;
