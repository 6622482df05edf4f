"""Text for people: escaped, on a terminal and in the log."""
