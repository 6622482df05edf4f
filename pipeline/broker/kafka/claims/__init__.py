"""Claims of groups on their output topics."""
