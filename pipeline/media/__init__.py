"""Decodes pictures and videos to arrays, and opens their sources."""
