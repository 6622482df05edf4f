"""What H.264 in the log costs and saves, beside JPEGs of the same pictures."""
