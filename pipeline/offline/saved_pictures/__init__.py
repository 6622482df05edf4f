"""Finds the pictures of predictions in the log, and writes them to a folder."""
