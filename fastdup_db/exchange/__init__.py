"""Results in the formats of others, and their results as a work_dir of ours."""
