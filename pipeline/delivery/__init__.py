"""Into the log and back from it: checkpoints, commits and restores."""
