"""Labelled videos for training, decoded and thinned exactly as in serving."""
