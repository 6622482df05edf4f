"""Training on labelled videos."""
