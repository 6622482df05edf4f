"""The segments of pictures, one module for each format: read without decoding."""
