"""Encoders to train."""
