"""Bytes to arrays: pictures, videos and where they come from."""
