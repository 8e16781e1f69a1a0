"""The only doors to the two databases: `duck` for facts, `lance` for vectors."""
