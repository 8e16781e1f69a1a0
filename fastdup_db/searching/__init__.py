"""Search by image or vector in what a run has stored, and embeddings without a run."""
