"""One worker: a member of the group, and the process around it."""
