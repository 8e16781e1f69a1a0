"""Frames in, HTML pages out. Reads no database, and images only through a function it is given."""
