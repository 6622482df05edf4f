"""Frames from Kafka become predictions; the memory of streams is as durable as the log."""
