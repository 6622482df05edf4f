"""When a label began and ended: the events topic, and what is remembered between two frames."""
