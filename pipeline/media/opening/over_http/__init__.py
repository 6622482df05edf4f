"""Reads from web servers: what libav gets of HTTP comes from here."""
