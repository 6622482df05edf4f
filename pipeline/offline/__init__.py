"""The frame path without a consumer group: files, and ranges of the log."""
