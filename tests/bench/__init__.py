"""`make bench`: the worker beside the bare loop over the same libraries, on the same frames."""
