"""Decides whether a camera's own H.264 is published, instead of JPEGs that are made here."""
