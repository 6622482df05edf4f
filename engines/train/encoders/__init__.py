"""Encoders by name, and the networks of the article and of the demo."""
