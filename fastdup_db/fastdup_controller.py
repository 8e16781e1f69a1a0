"""fastdup's name for the module of `FastdupController`, so that scripts import it by changing the package only."""

from fastdup_db.controller import FastdupController

__all__ = ["FastdupController"]
