"""Decodes H.264 and H.265 unit by unit, and detects what is missing or damaged."""
