"""The web server of worker and camera processes: metrics and probes."""
