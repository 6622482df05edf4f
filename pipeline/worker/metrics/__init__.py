"""A worker's Prometheus metrics."""
