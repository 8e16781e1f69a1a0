"""Find what is wrong with an image collection, on DuckDB and LanceDB."""

__version__ = "0.1.0"
