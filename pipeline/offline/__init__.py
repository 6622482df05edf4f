"""The frame path without a group: files and stretches of the log."""
