"""Decodes the H.264 units of many streams: each stream in order, at a limit of open decoders."""
