"""Turns the predictions of a stream into starts and ends of labels, with hysteresis."""
