"""Questions to a work_dir: each runs one named query and hands back its frame."""
