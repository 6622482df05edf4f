"""Reads topics without joining a group."""
