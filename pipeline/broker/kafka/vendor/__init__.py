"""kafka-python's classes, opened, mended and translated."""
