"""Measures what a camera sends, for some seconds."""
