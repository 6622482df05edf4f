"""A model on disk, as a checked value."""
