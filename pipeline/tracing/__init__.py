"""Spans of OpenTelemetry: how long each step of a frame took, on the way from camera to log."""
