"""Parses the headers of H.264 and H.265. No decoder: values only."""
