"""Engines compared with the oracle."""
