"""Labelled videos to train on, cut into frames as serving cuts them."""
