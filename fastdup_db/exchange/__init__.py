"""Exports results in other programs' formats, and imports fastdup's results into a work_dir."""
