"""Live cameras and clips, each in its own thread, into the log."""
