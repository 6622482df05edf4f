"""Camera servers for the tests; each picture contains its own capture time."""
