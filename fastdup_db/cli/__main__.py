"""`python -m fastdup_db.cli`."""

from fastdup_db.cli import main

main()
