"""Measures a bundle on labelled streams, and the accuracy that its memory is worth."""
