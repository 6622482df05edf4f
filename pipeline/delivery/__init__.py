"""Writes checkpoints to the log and restores partitions from it."""
