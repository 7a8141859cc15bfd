"""Results of an evaluation as files: figures in JSON, one compressed line per sample beside it, and what is computed from them."""
