"""Commands on a group: its topics, its log, and what its log says."""
