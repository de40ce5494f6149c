"""A run: its spec, its record on disk, its training."""
