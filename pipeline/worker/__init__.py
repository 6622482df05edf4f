"""One member of the group, and the process around it."""
