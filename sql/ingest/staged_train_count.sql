-- How many references the input of a run with a test_dir has besides those of test_dir.
select count(*) from staged where split = 'train'
