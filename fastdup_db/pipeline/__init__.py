"""One run, from its arguments to the published views, and what keeps two runs apart."""
