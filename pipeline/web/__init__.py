"""The small web server of our processes: metrics and probes."""
