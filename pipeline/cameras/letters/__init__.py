"""Text and sequences into the log: what `longtake publish` does."""
