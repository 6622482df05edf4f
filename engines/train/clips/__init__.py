"""The system that trains on labelled videos: sampling, loops, checkpoints and the two recipes."""
