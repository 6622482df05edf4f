"""Turns a connection or a file into shots."""
