"""A real Apache Kafka on this machine, for development and tests; pip alone installs it."""
