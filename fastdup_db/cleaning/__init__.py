"""Moving or deleting files in a way that can be previewed first and undone afterwards."""
